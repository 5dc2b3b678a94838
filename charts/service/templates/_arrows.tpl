{{/* The arrows of one component as ingress and egress: include "service.arrows" (list . arrows).
from: clients (of the APIs) or components; to: kafka, store, blobs or components. All may ask DNS, and monitoring may read the admin port. */}}
{{- define "service.arrows" -}}
{{- $context := index . 0 }}{{ $arrows := index . 1 }}{{ $global := $context.Values.global -}}
policyTypes: [Ingress, Egress]
ingress:
  {{- if $arrows.from }}
  - ports:
      {{- range $name, $port := $context.Values.ports }}
      - {port: {{ $name }}, protocol: TCP}
      {{- end }}
    from:
      {{- range $arrows.from }}
      {{- if eq . "clients" }}
      {{- toYaml $global.network.clients | nindent 6 }}
      {{- else }}
      - podSelector:
          matchLabels:
            {{- include "service.selectorOf" (list $context .) | nindent 12 }}
      {{- end }}
      {{- end }}
  {{- end }}
  - ports:
      - {port: admin, protocol: TCP}
    from:
      {{- toYaml $global.network.monitoring | nindent 6 }}
egress:
  {{- range $arrows.to }}
  {{- if eq . "kafka" }}
  - ports:
      {{- range regexFindAll ":[0-9]+" $global.kafka.bootstrapServers -1 | uniq }}
      - {port: {{ trimPrefix ":" . }}, protocol: TCP}
      {{- end }}
    {{- with $global.kafka.peers }}
    to:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- else if eq . "store" }}
  - ports:
      - {port: {{ (urlParse $global.store.url).host | splitList ":" | last }}, protocol: TCP}
    {{- with $global.store.peers }}
    to:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- else if eq . "blobs" }}
  {{- with $global.blobs.egress }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- else }}
  - ports:
      - {port: {{ ternary "serve" "http" (eq . "encoder") }}, protocol: TCP}
    to:
      - podSelector:
          matchLabels:
            {{- include "service.selectorOf" (list $context .) | nindent 12 }}
  {{- end }}
  {{- end }}
  {{- with ($context.Values.settings).TRACES_URL }}
  - ports:
      - {port: {{ regexFind ":[0-9]+$" (urlParse .).host | trimPrefix ":" | default "4318" }}, protocol: TCP}
  {{- end }}
  - ports:
      - {port: 53, protocol: UDP}
      - {port: 53, protocol: TCP}
    to:
      {{- toYaml $global.network.dns | nindent 6 }}
{{- end }}
