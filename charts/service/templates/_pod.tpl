{{/* A value as its process reads it. Numbers of a values file arrive as floats, which would be printed as 2.68435456e+08. */}}
{{- define "service.scalar" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* Every variable that is not secret, as YAML: what the chart decides, what the administrator sets. */}}
{{- define "service.environment" -}}
ADMIN_HOST: "0.0.0.0"
ADMIN_PORT: {{ .Values.adminPort | quote }}
{{- range $name, $value := .Values.wiring }}
{{- with tpl (toString $value) $ }}
{{ $name | quote }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name | quote }}: {{ include "service.scalar" $value | quote }}
{{- end }}
{{- end }}

{{/* What a template of a Secret's key comes to, as JSON: include "service.reference" (list . "gateway.secrets.TOKEN" template) */}}
{{- define "service.reference" -}}
{{- $reference := fromYaml (tpl (index . 2) (index . 0)) -}}
{{- if or (ne (keys $reference | sortAlpha | join " ") "key name") (and $reference.name (not (and (kindIs "string" $reference.name) (kindIs "string" $reference.key) $reference.key))) }}
{{- fail (printf "%s must be '{name: …, key: …}', a Secret of the same namespace and its key, both texts" (index . 1)) }}
{{- end }}
{{- toJson $reference }}
{{- end }}

{{/* Every variable that is secret; empty where none is. */}}
{{- define "service.secretEnvironment" -}}
{{- range $name, $path := .Values.secrets }}
{{- $reference := include "service.reference" (list $ (printf "%s.secrets.%s" $.Chart.Name $name) $path) | fromJson }}
{{- if $reference.name }}
- name: {{ $name | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ $reference.name | quote }}
      key: {{ $reference.key | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the certificates of Kafka's brokers are mounted; empty where none are named. */}}
{{- define "service.logCaFile" -}}
{{- if .Values.global.kafka.caSecret.name }}/etc/spanstream/kafka/ca.crt{{ end }}
{{- end }}

{{/* Where the certificates of who signs the store's are mounted; empty where none are named. */}}
{{- define "service.storeCaFile" -}}
{{- if .Values.global.store.caSecret.name }}/etc/spanstream/store/ca.crt{{ end }}
{{- end }}

{{/* Where the public keys of tokens are mounted; empty where none are named. */}}
{{- define "service.jwksFile" -}}
{{- if .Values.global.auth.jwksSecret.name }}/etc/spanstream/jwks/jwks.json{{ end }}
{{- end }}

{{/* A volume from a Secret's one key: include "service.secretVolume" (list "name" $reference "file") */}}
{{- define "service.secretVolume" -}}
- name: {{ index . 0 }}
  secret:
    secretName: {{ (index . 1).name | quote }}
    items:
      - key: {{ (index . 1).key | quote }}
        path: {{ index . 2 }}
{{- end }}

{{/* Of a pod: Pod Security "restricted". Where the cluster chooses the user (OpenShift), it chooses the group of volumes too. */}}
{{- define "service.podSecurity" -}}
runAsNonRoot: true
{{- if .Values.global.pods.fixedUser }}
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "service.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Of a pod's spec: what all pods of ours share. No token of the API server; no variables of other Services, which
would be taken for settings (a Service named encoder sets ENCODER_PORT). */}}
{{- define "service.podCommon" -}}
automountServiceAccountToken: false
{{ include "service.podWithToken" . }}
{{- end }}

{{- define "service.podWithToken" -}}
enableServiceLinks: false
securityContext:
  {{- include "service.podSecurity" . | nindent 2 }}
{{- with .Values.global.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Of a container: include "service.probes" 120, seconds until it must live. Its model, or its index, may take long to open. */}}
{{- define "service.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ div . 2 }}
# Whether it hangs; never whether a neighbour is there, which no restart would bring back.
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{/* Where pods go: include "service.placement" (list . component values) */}}
{{- define "service.placement" -}}
{{- $context := index . 0 }}{{ $component := index . 1 }}{{ $values := index . 2 -}}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "service.selectorOf" (list $context $component) | nindent 8 }}
  {{- end }}
{{ include "service.nodes" (list $context $values) }}
{{- end }}

{{/* On which nodes: include "service.nodes" (list . values), what all pods have and what is this one's own */}}
{{- define "service.nodes" -}}
{{- $all := (index . 0).Values.global.pods }}{{ $own := index . 1 -}}
{{- with mergeOverwrite (dict) ($all.nodeSelector | default dict) ($own.nodeSelector | default dict) }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat ($all.tolerations | default list) ($own.tolerations | default list) }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName | default $all.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{/* A pod's labels and annotations: include "service.podMetadata" (list . component values annotations), what all pods have, what
is this one's own, and last what selectors and upgrades rest on */}}
{{- define "service.podMetadata" -}}
{{- $all := (index . 0).Values.global.pods }}{{ $own := index . 2 -}}
labels:
  {{- mergeOverwrite (dict) ($all.labels | default dict) ($own.podLabels | default dict) (include "service.labelsOf" (list (index . 0) (index . 1)) | fromYaml) | toYaml | nindent 2 }}
{{- with mergeOverwrite (dict) ($all.annotations | default dict) ($own.podAnnotations | default dict) (index . 3) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
