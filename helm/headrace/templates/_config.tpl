{{- /*
The configuration of one role as YAML. Each role gets only what it needs: the ingress, which faces
clients, never learns how upstreams are paid; the dispatcher knows no API keys of tenants, the governor neither.
*/ -}}
{{- define "headrace.config" -}}
{{- $config := deepCopy .root.Values.config -}}
{{- $_ := set $config "kafka" (include "headrace.kafka" (dict "root" .root "kafka" $config.kafka) | fromYaml) -}}
{{- $_ = set $config "ingress" (merge (dict "listen" "0.0.0.0:8080" "metrics_listen" "0.0.0.0:9090" "index_dir" "/var/lib/headrace") (default dict $config.ingress)) -}}
{{- $_ = set $config "dispatcher" (merge (dict "metrics_listen" "0.0.0.0:9091") (default dict $config.dispatcher)) -}}
{{- $_ = set $config "governor" (merge (dict "metrics_listen" "0.0.0.0:9095") (default dict $config.governor)) -}}
{{- if ne .role "dispatcher" -}}
{{- range $config.deployments -}}{{- $_ = unset .upstream "api_key" -}}{{- end -}}
{{- end -}}
{{- if ne .role "ingress" -}}
{{- $_ = unset $config "auth" -}}
{{- range $tenant, $row := (default dict $config.tenants) -}}{{- $_ = unset $row "keys" -}}{{- end -}}
{{- else if eq (dig "auth" "mode" "open" $config) "open" -}}
{{- $_ = set $config "auth" (dict "mode" "open") -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "headrace.kafka" -}}
{{- $security := deepCopy (default dict .kafka.security) -}}
{{- if hasPrefix "SASL_" (default "PLAINTEXT" $security.protocol) -}}
{{- $_ := set $security "username" "${env:KAFKA_USERNAME}" -}}
{{- $_ = set $security "password" "${env:KAFKA_PASSWORD}" -}}
{{- end -}}
{{- if .root.Values.kafkaAuth.caExistingSecret -}}
{{- $_ := set $security "ca_file" "/etc/kafka-ca/ca.crt" -}}
{{- end -}}
{{- merge (dict "security" $security) .kafka | toYaml -}}
{{- end -}}

{{- /* Seconds between SIGTERM (or the preStop hook) and SIGKILL: whatever may drain, and a margin. */ -}}
{{- define "headrace.graceSeconds" -}}
{{- if eq .role "dispatcher" -}}
{{- add (dig "dispatcher" "drain_s" 630 .root.Values.config | ceil | int) 15 -}}
{{- else if eq .role "governor" -}}
15
{{- else -}}
{{- add (dig "ingress" "drain_s" 30 .root.Values.config | ceil | int) .root.Values.ingress.preStopSeconds 15 -}}
{{- end -}}
{{- end -}}

{{- /* What no schema can say. Called once; fails with a sentence that names the value to set. */ -}}
{{- define "headrace.check" -}}
{{- $sasl := hasPrefix "SASL_" (dig "kafka" "security" "protocol" "PLAINTEXT" .Values.config) -}}
{{- range $role := list "ingress" "dispatcher" "governor" "topics" -}}
{{- $own := index $.Values $role -}}
{{- if and $sasl (dig "enabled" true $own) (not (or $own.kafkaExistingSecret $.Values.kafkaAuth.existingSecret)) -}}
{{- fail (printf "config.kafka.security.protocol is SASL_SSL: set kafkaAuth.existingSecret or %s.kafkaExistingSecret" $role) -}}
{{- end -}}
{{- end -}}
{{- if and $sasl (not (dig "kafka" "security" "mechanism" "" .Values.config)) -}}
{{- fail "config.kafka.security.protocol is SASL_SSL: set config.kafka.security.mechanism" -}}
{{- end -}}
{{- range $role := list "ingress" "dispatcher" "governor" -}}
{{- $own := index $.Values $role -}}
{{- $text := include "headrace.config" (dict "root" $ "role" $role) | replace "${env:KAFKA_USERNAME}" "" | replace "${env:KAFKA_PASSWORD}" "" -}}
{{- $name := regexFind "(\\$\\{env:|os\\.environ/)[A-Za-z0-9_]+" $text | regexFind "[A-Za-z0-9_]+$" -}}
{{- if and $name (not $own.existingSecret) (not $own.extraEnv) -}}
{{- fail (printf "the configuration of the %s reads %s from its environment: set %s.existingSecret (a Secret with that key) or %s.extraEnv" $role $name $role $role) -}}
{{- end -}}
{{- end -}}
{{- end -}}
