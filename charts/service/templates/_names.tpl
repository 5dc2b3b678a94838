{{/* The component: the chart's alias in kebab case, ingestorApi -> ingestor-api. */}}
{{- define "service.component" -}}
{{ .Chart.Name | kebabcase }}
{{- end }}

{{/* fullname of another component of this release: include "service.of" (list . "gateway"). Of a release whose name is too long
for 63 characters the end gives way to a hash of it: neither two components nor two releases get one name. */}}
{{- define "service.of" -}}
{{- $release := (index . 0).Release.Name -}}
{{- $room := sub 62 (len (index . 1)) | int -}}
{{- if gt (len $release) $room -}}
{{- $release = printf "%s-%s" (trunc (int (sub $room 9)) $release | trimSuffix "-") (sha256sum $release | trunc 8) -}}
{{- end -}}
{{ printf "%s-%s" $release (index . 1) }}
{{- end }}

{{/* Whether a component is there: include "service.isDeployed" (list . "other-encoder"), empty where it is not. Of the two encoders that is
the one which all services ask, and both while documents move from one to the other; what moves them then alone. */}}
{{- define "service.isDeployed" -}}
{{- $global := (index . 0).Values.global -}}
{{- $moving := $global.migration.to -}}
{{- if has (index . 1) (list "encoder" "other-encoder") -}}
{{- if or $moving (eq (index . 1) (kebabcase $global.index.encoder)) }}true{{ end -}}
{{- else if or $moving (ne (index . 1) "migration") -}}
true
{{- end -}}
{{- end }}

{{- define "service.deployed" -}}
{{ include "service.isDeployed" (list . (include "service.component" .)) }}
{{- end }}

{{- define "service.fullname" -}}
{{ include "service.of" (list . (include "service.component" .)) }}
{{- end }}

{{/* Never a version here: selectors cannot change. */}}
{{- define "service.selectorOf" -}}
{{- $context := index . 0 -}}
app.kubernetes.io/name: spanstream
app.kubernetes.io/instance: {{ $context.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "service.labelsOf" -}}
{{- $context := index . 0 -}}
{{ include "service.selectorOf" . }}
app.kubernetes.io/part-of: spanstream
app.kubernetes.io/version: {{ $context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" "spanstream" $context.Chart.Version | quote }}
{{- end }}

{{- define "service.selectorLabels" -}}
{{ include "service.selectorOf" (list . (include "service.component" .)) }}
{{- end }}

{{- define "service.labels" -}}
{{ include "service.labelsOf" (list . (include "service.component" .)) }}
{{- end }}

{{/* include "service.image" (list . "gateway") */}}
{{- define "service.image" -}}
{{- $context := index . 0 -}}
{{- $image := $context.Values.global.image -}}
{{- $digest := index ($image.digests | default dict) (index . 1) | default "" -}}
{{ $image.registry }}/{{ index . 1 }}{{ if $digest }}@{{ $digest }}{{ else }}:{{ $image.tag | default $context.Chart.AppVersion }}{{ end }}
{{- end }}
