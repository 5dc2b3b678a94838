{{/* Where components of this release answer. */}}
{{- define "spanstream.gatewayUrl" -}}
http://{{ include "service.of" (list . "gateway") }}:8080
{{- end }}

{{- define "spanstream.ingestUrl" -}}
http://{{ include "service.of" (list . "ingestor-api") }}:8081
{{- end }}

{{/* Of the encoder that all services ask. */}}
{{- define "spanstream.encoderUrl" -}}
http://{{ include "service.of" (list . (kebabcase .Values.global.index.encoder)) }}:8082
{{- end }}

{{/* Of the encoder that documents move to; empty where they stay. */}}
{{- define "spanstream.nextEncoderUrl" -}}
{{- with .Values.global.migration.to -}}
http://{{ include "service.of" (list $ (kebabcase .)) }}:8082
{{- end }}
{{- end }}

{{/* What the release of the encoder that documents move to follows from, as a checksum: its settings, its volumes, its image. */}}
{{- define "spanstream.nextRelease" -}}
{{- $encoder := index .Values .Values.global.migration.to -}}
{{ list $encoder.settings $encoder.volumes (include "service.image" (list . "encoder")) | toJson | sha256sum }}
{{- end }}

{{/* The names in the values, as {names: […]}, of the encoders that are deployed. */}}
{{- define "spanstream.encoders" -}}
{{- $names := list -}}
{{- range list "encoder" "otherEncoder" }}{{ if include "service.isDeployed" (list $ (kebabcase .)) }}{{ $names = append $names . }}{{ end }}{{ end -}}
{{ toJson (dict "names" $names) }}
{{- end }}

{{/* Where the log's password is, as {name, key}; the name may differ from service to service. */}}
{{- define "spanstream.logPassword" -}}
{{ toJson (dict "name" (tpl .Values.global.kafka.passwordSecret.name .) "key" .Values.global.kafka.passwordSecret.key) }}
{{- end }}

{{/* The claim that blobs are kept in; empty where they are not in a folder. */}}
{{- define "spanstream.blobsClaim" -}}
{{- if hasPrefix "file:" .Values.global.blobs.url -}}
{{ .Values.global.blobs.existingClaim | default (include "service.of" (list . "blobs")) }}
{{- end }}
{{- end }}
