{{- define "vedette.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "vedette.selector" -}}
app.kubernetes.io/name: vedette
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "vedette.labels" -}}
{{ include "vedette.selector" . }}
app.kubernetes.io/part-of: vedette
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "vedette.nats.selector" -}}
app.kubernetes.io/name: nats
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "vedette.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The services that run, as a JSON list under "names". */}}
{{- define "vedette.services" -}}
{{- $names := list -}}
{{- range $name, $one := .Values.services -}}
{{- if ne (toString $one.enabled) "false" -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}
{{- dict "names" ($names | sortAlpha) | toJson -}}
{{- end -}}

{{- define "vedette.natsUsers" -}}
{{- .Values.nats.auth.existingSecret | default (printf "%s-nats-users" (include "vedette.fullname" .)) -}}
{{- end -}}

{{- define "vedette.consoleSecret" -}}
{{- .Values.services.console.existingSecret | default (printf "%s-console" (include "vedette.fullname" .)) -}}
{{- end -}}

{{- define "vedette.natsUrl" -}}
{{- if .Values.nats.bundled.enabled -}}
{{- printf "nats://%s-nats:4222" (include "vedette.fullname" .) -}}
{{- else if kindIs "slice" .Values.nats.url -}}
{{- join "," .Values.nats.url -}}
{{- else -}}
{{- .Values.nats.url | required "nats.url: name your NATS servers, such as nats://nats.nats:4222, or set nats.bundled.enabled" -}}
{{- end -}}
{{- end -}}

{{- define "vedette.sqlite" -}}
{{- if not .Values.database.existingSecret }}true{{ end -}}
{{- end -}}

{{/* What the chart sets of the configuration, with .Values.config over it, as JSON. */}}
{{- define "vedette.config" -}}
{{- $full := include "vedette.fullname" . -}}
{{- $secrets := "/run/secrets/vedette" -}}
{{- $nats := dict "url" (include "vedette.natsUrl" .) "user" (dict "env" "NATS_USER") "password" (dict "file" (printf "%s/nats-password" $secrets)) "provision" false -}}
{{- if or .Values.nats.ca.secret .Values.nats.ca.configMap -}}
{{- $_ := set $nats "ca_file" (printf "/run/ca/nats/%s" .Values.nats.ca.key) -}}
{{- end -}}
{{- $config := dict "nats" $nats "http" (dict "host" "0.0.0.0" "port" 8080) -}}
{{- if .Values.database.existingSecret -}}
{{- $_ := set $config "database" (dict "url" (dict "file" (printf "%s/database-url" $secrets))) -}}
{{- else -}}
{{- $_ := set $config "database" (dict "url" "sqlite+aiosqlite:////var/lib/vedette/vedette.db") -}}
{{- end -}}
{{- if .Values.services.console.enabled -}}
{{- $name := printf "%s-console" $full -}}
{{- $hosts := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) "localhost" -}}
{{- range list .Values.services.console.ingress .Values.services.console.route -}}
{{- if .enabled -}}{{- $hosts = append $hosts .host -}}{{- end -}}
{{- end -}}
{{- $hosts = concat $hosts .Values.services.console.hosts -}}
{{- $_ := set $config "console" (dict "host" "0.0.0.0" "port" 7717 "hosts" $hosts "token" (dict "file" (printf "%s/console-token" $secrets)) "operator_token" (dict "file" (printf "%s/console-operator-token" $secrets))) -}}
{{- end -}}
{{- if .Values.services.gateway.enabled -}}
{{- $_ := set $config "gateway" (dict "enabled" true "host" "0.0.0.0" "port" 7718) -}}
{{- end -}}
{{- if .Values.discovery.kubernetes.enabled -}}
{{- $_ := set $config "discovery" (dict "kubernetes" (dict "enabled" true "namespaces" (include "vedette.discoveryNamespaces" . | fromJsonArray))) -}}
{{- end -}}
{{- mergeOverwrite $config (deepCopy .Values.config) | toJson -}}
{{- end -}}

{{- define "vedette.discoveryNamespaces" -}}
{{- .Values.discovery.kubernetes.namespaces | default (list .Release.Namespace) | toJson -}}
{{- end -}}

{{/* As TOML. Numbers of values are floats to Helm; whole ones are written as integers, as they were meant. */}}
{{- define "vedette.toml" -}}
{{- $config := include "vedette.config" . | fromJson -}}
{{- include "vedette.wholeNumbers" $config -}}
{{- toToml $config -}}
{{- end -}}

{{/* Makes whole numbers in a map integers, in place, however deep. */}}
{{- define "vedette.wholeNumbers" -}}
{{- $map := . -}}
{{- range $key, $value := $map -}}
{{- if kindIs "map" $value -}}
{{- include "vedette.wholeNumbers" $value -}}
{{- else if kindIs "slice" $value -}}
{{- range $value -}}{{- if kindIs "map" . -}}{{- include "vedette.wholeNumbers" . -}}{{- end -}}{{- end -}}
{{- else if kindIs "float64" $value -}}
{{- if eq $value (floor $value) -}}{{- $_ := set $map $key (int64 $value) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What of the configuration a running service does not take on: pods are replaced when it changes. */}}
{{- define "vedette.restartChecksum" -}}
{{- $config := include "vedette.config" . | fromJson -}}
{{- $gateway := pick (get $config "gateway" | default dict) "enabled" "host" "port" -}}
{{- $kept := omit $config "endpoints" "schedule" "outbound" "recommend" "quality" "webhooks" "gateway" "discovery" -}}
{{- dict "sections" $kept "gateway" $gateway | toJson | sha256sum | trunc 16 -}}
{{- end -}}

{{- define "vedette.podSecurity" -}}
{{- include "vedette.users" .Values.podSecurityContext -}}
{{- end -}}

{{/* The security of a pod with the users that a value names; none where the cluster assigns them. */}}
{{- define "vedette.users" -}}
runAsNonRoot: true
{{- with . }}
{{ toYaml . }}
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "vedette.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Volume mounts that every container of Vedette has. */}}
{{- define "vedette.mounts" -}}
- {name: config, mountPath: /etc/vedette, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if or .Values.nats.ca.secret .Values.nats.ca.configMap }}
- {name: nats-ca, mountPath: /run/ca/nats, readOnly: true}
{{- end }}
{{- end -}}

{{- define "vedette.volumes" -}}
- name: config
  configMap:
    name: {{ include "vedette.fullname" . }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with include "vedette.caVolume" (dict "name" "nats-ca" "ca" .Values.nats.ca) }}
{{ . }}
{{- end }}
{{- end -}}

{{- define "vedette.caVolume" -}}
{{- if or .ca.secret .ca.configMap -}}
- name: {{ .name }}
  {{- if .ca.secret }}
  secret:
    secretName: {{ .ca.secret }}
  {{- else }}
  configMap:
    name: {{ .ca.configMap }}
  {{- end }}
    items: [{key: {{ .ca.key | quote }}, path: {{ .ca.key | quote }}}]
{{- end -}}
{{- end -}}

{{/* Where a pod may run and how urgent it is: of the values of one part, where they are not null, else of those of all.
As "own" and "root". */}}
{{- define "vedette.placement" -}}
{{- $own := .own -}}
{{- $all := .root.Values -}}
{{- range $key := list "priorityClassName" "nodeSelector" "affinity" "tolerations" }}
{{- with ternary (get $all $key) (get $own $key) (not (hasKey $own $key) | or (kindIs "invalid" (get $own $key))) }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where the database is, or what its certificate is checked by. */}}
{{- define "vedette.databaseMounts" -}}
{{- if include "vedette.sqlite" . -}}
- {name: state, mountPath: /var/lib/vedette}
{{- else if or .Values.database.ca.secret .Values.database.ca.configMap -}}
- {name: database-ca, mountPath: /run/ca/database, readOnly: true}
{{- end -}}
{{- end -}}

{{/* Whether an object of the Prometheus operator is wanted: of the setting, the group and the kind. */}}
{{- define "vedette.wanted" -}}
{{- if or (eq (toString .enabled) "true") (and (eq (toString .enabled) "auto") (.root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind))) }}true{{ end -}}
{{- end -}}
