{{/* The arrows of one component as ingress and egress: include "service.arrows" (list . arrows).
from: clients (of the APIs) or components; to: kafka, store, blobs or components; a component that is not deployed is passed over. All may ask DNS, and
monitoring may read the admin port. A rule without peers would let in, or out to, everybody: who is named by an empty list is nobody. */}}
{{- define "service.arrows" -}}
{{- $context := index . 0 }}{{ $arrows := index . 1 }}{{ $global := $context.Values.global -}}
{{- $from := list -}}
{{- range $arrows.from }}{{ if include "service.isDeployed" (list $context .) }}{{ $from = append $from . }}{{ end }}{{ end -}}
{{- if not $global.network.clients }}{{ $from = without $from "clients" }}{{ end -}}
policyTypes: [Ingress, Egress]
{{- if or $from $global.network.monitoring }}
ingress:
  {{- if $from }}
  - ports:
      {{- range $name, $port := $context.Values.ports }}
      - {port: {{ $name | quote }}, protocol: TCP}
      {{- end }}
    from:
      {{- range $from }}
      {{- if eq . "clients" }}
      {{- toYaml $global.network.clients | nindent 6 }}
      {{- else }}
      - podSelector:
          matchLabels:
            {{- include "service.selectorOf" (list $context .) | nindent 12 }}
      {{- end }}
      {{- end }}
  {{- end }}
  {{- with $global.network.monitoring }}
  - ports:
      - {port: admin, protocol: TCP}
    from:
      {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end }}
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
  {{- else if include "service.isDeployed" (list $context .) }}
  - ports:
      - {port: {{ ternary "serve" "http" (hasSuffix "encoder" .) }}, protocol: TCP}
    to:
      - podSelector:
          matchLabels:
            {{- include "service.selectorOf" (list $context .) | nindent 12 }}
  {{- end }}
  {{- end }}
  {{- with ($context.Values.settings).TRACES_URL }}
  {{- $port := regexFind ":[0-9]+$" (urlParse .).host | trimPrefix ":" }}
  - ports:
      - {port: {{ $port | default (ternary "443" "80" (hasPrefix "https:" .)) }}, protocol: TCP}
    {{- with $global.network.traces }}
    to:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- with $global.network.dns }}
  - ports:
      - {port: {{ $global.network.dnsPort }}, protocol: UDP}
      - {port: {{ $global.network.dnsPort }}, protocol: TCP}
    to:
      {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end }}
