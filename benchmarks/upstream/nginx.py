"""nginx as upstream: one process that answers every request with the same JSON."""

import shutil
from pathlib import Path

from benchmarks.upstream.answers import COMPLETION

_CONFIG = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ default_type application/json; return 200 '{answer}'; }}
  }}
}}
"""


def nginx_command(folder: Path, port: int) -> list[str] | None:
    """The command that runs it in `folder`, where its configuration is written; None without nginx."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        return None
    folder.mkdir(parents=True)
    text = _CONFIG.format(port=port, answer=COMPLETION)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    return [nginx, "-p", str(folder), "-e", "stderr", "-c", "nginx.conf"]
