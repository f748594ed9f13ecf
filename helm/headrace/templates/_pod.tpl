{{- /* Pieces of a pod that all roles share; they meet the restricted Pod Security Standard. */ -}}
{{- define "headrace.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with .Values.runAsUser }}
  runAsUser: {{ int64 . }}
  runAsGroup: {{ int64 . }}
  fsGroup: {{ int64 . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "headrace.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{- define "headrace.kafkaEnv" -}}
{{- if hasPrefix "SASL_" (dig "kafka" "security" "protocol" "PLAINTEXT" .root.Values.config) }}
{{- $auth := .root.Values.kafkaAuth }}
{{- $secret := default $auth.existingSecret (index .root.Values .role).kafkaExistingSecret }}
- name: KAFKA_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $auth.usernameKey }}
- name: KAFKA_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $auth.passwordKey }}
{{- end }}
{{- end -}}

{{- define "headrace.mounts" -}}
- name: config
  mountPath: /etc/headrace
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if .Values.kafkaAuth.caExistingSecret }}
- name: kafka-ca
  mountPath: /etc/kafka-ca
  readOnly: true
{{- end }}
{{- end -}}

{{- define "headrace.volumes" -}}
- name: config
  configMap:
    name: {{ include "headrace.roleName" . }}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with .root.Values.kafkaAuth }}
{{- if .caExistingSecret }}
- name: kafka-ca
  secret:
    secretName: {{ .caExistingSecret }}
    items:
      - key: {{ .caKey }}
        path: ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{- /*
Readiness tells the truth within 10 s. The start is judged by liveness alone: a pod that waits for
Kafka or for its topics is not ready, but killing it would mend nothing.
*/ -}}
{{- define "headrace.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ .port }}}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{- define "headrace.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
