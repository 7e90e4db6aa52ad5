package blackbox

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/draft"
)

// Load reads a config file. The error has every complaint, each with path, line and column.
func Load(path string, text []byte) (*Config, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(doc.Content) == 0 {
		return nil, fmt.Errorf("%s: there is no module; write modules: {http_2xx: {prober: http}}", path)
	}
	if err := decodeBinary(path, &doc); err != nil {
		return nil, err
	}
	v, err := draft.FromYAML(path, doc.Content[0])
	if err != nil {
		return nil, err
	}
	c := &Config{modules: map[string]*module{}}
	err = v.Each([]string{"modules"}, func(_ string, v draft.Value) error {
		return v.All(func(name string, v draft.Value) error {
			m, err := parseModule(v)
			c.modules[name] = m
			return err
		})
	})
	if err == nil && len(c.modules) == 0 {
		err = v.Errorf("there is no module; write modules: {http_2xx: {prober: http}}")
	}
	return c, err
}

// decodeBinary puts bytes in the place of !!binary, which example files have for what is sent.
func decodeBinary(path string, n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!binary" {
		var text string
		if err := n.Decode(&text); err != nil {
			return fmt.Errorf("%s:%d:%d: !!binary: want base64", path, n.Line, n.Column)
		}
		n.Value, n.Tag = text, "!!str"
	}
	var errs []error
	for _, child := range n.Content {
		errs = append(errs, decodeBinary(path, child))
	}
	return errors.Join(errs...)
}

func parseModule(v draft.Value) (*module, error) {
	m := &module{web: webSettings{method: "GET", follow: true, http2: true}, dns: dnsSettings{transport: "udp", class: 1, kind: 255, recurse: true}, icmp: icmpSettings{ttl: 64}}
	known := []string{"prober", "timeout", "http", "tcp", "icmp", "dns", "grpc", "unix", "websocket"}
	parts := map[string]draft.Value{}
	err := v.Each(known, func(key string, v draft.Value) error {
		switch key {
		case "prober":
			return v.OneOf(&m.prober, "http", "tcp", "icmp", "dns", "grpc", "unix", "websocket")
		case "timeout":
			return v.Duration(&m.timeout, 0, time.Hour)
		}
		parts[key] = v
		return nil
	})
	if m.prober == "" && err == nil {
		err = v.Errorf("the module has no prober; want one of http, tcp, icmp, dns, grpc")
	}
	errs := []error{err}
	for _, key := range known[2:] {
		part, given := parts[key]
		if !given {
			continue
		}
		to := m
		if key != m.prober { // what another prober would do is read, and of no effect
			to = &module{}
		}
		errs = append(errs, to.parsePart(key, part))
	}
	if _, given := parts["dns"]; m.prober == "dns" && !given {
		errs = append(errs, v.Errorf("dns: a module that asks for names has query_name"))
	}
	if m.prober == "websocket" {
		m.refuse = "the prober websocket is not available here"
	}
	return m, errors.Join(errs...)
}

func (m *module) parsePart(key string, v draft.Value) error {
	switch key {
	case "http":
		return m.parseHTTP(v)
	case "tcp":
		return v.Each(append([]string{"query_response", "tls", "tls_config"}, addressKeys()...), m.parseTCP)
	case "unix":
		return v.Each([]string{"query_response", "tls", "tls_config"}, m.parseTCP)
	case "dns":
		return m.parseDNS(v)
	case "grpc":
		return v.Each([]string{"service", "tls", "tls_config", "metadata", "preferred_ip_protocol", "ip_protocol_fallback"}, m.parseGRPC)
	case "icmp":
		return v.Each(append([]string{"payload_size", "dont_fragment", "ttl"}, addressKeys()...), m.parseICMP)
	}
	return v.Each([]string{"http_config", "headers", "query_response", "preferred_ip_protocol", "ip_protocol_fallback"}, func(string, draft.Value) error { return nil })
}

func addressKeys() []string {
	return []string{"preferred_ip_protocol", "ip_protocol_fallback", "source_ip_address"}
}

func (a *addressing) parse(key string, v draft.Value) error {
	var word string
	switch key {
	case "preferred_ip_protocol":
		err := v.OneOf(&word, "ip4", "ip6", "")
		a.four = word == "ip4"
		return err
	case "ip_protocol_fallback":
		var yes bool
		err := v.Bool(&yes)
		a.only = !yes
		return err
	}
	if err := v.Word(&word); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(word)
	if err != nil {
		return v.Errorf("%q is no address", word)
	}
	a.source = addr
	return nil
}

func (m *module) parseTCP(key string, v draft.Value) error {
	switch key {
	case "query_response":
		return v.Each1(func(v draft.Value) error {
			s, err := parseStep(v)
			m.talk = append(m.talk, s)
			return err
		})
	case "tls":
		return v.Bool(&m.useTLS)
	case "tls_config":
		return m.parseTLS(v)
	}
	return m.address.parse(key, v)
}

func parseStep(v draft.Value) (step, error) {
	var s step
	err := v.Each([]string{"expect", "expect_bytes", "labels", "send", "starttls"}, func(key string, v draft.Value) error {
		switch key {
		case "expect":
			return parseRegexp(v, &s.expect)
		case "expect_bytes":
			return v.Word(&s.bytes)
		case "send":
			return v.Word(&s.send)
		case "starttls":
			return v.Bool(&s.startTLS)
		}
		return v.Each1(func(v draft.Value) error {
			var l [2]string
			err := v.Each([]string{"name", "value"}, func(key string, v draft.Value) error {
				if key == "name" {
					return v.Word(&l[0])
				}
				return v.Word(&l[1])
			})
			if err == nil && !labelName(l[0]) {
				err = v.Errorf("%q cannot be the name of a label; use letters, digits and underscores", l[0])
			}
			if slices.Contains(s.labels, l[0]) {
				err = v.Errorf("the label %s is given twice", l[0])
			}
			s.labels = append(s.labels, l[0], l[1])
			return err
		})
	})
	if s.expect != nil && s.bytes != "" {
		err = errors.Join(err, v.Errorf("expect and expect_bytes exclude each other; leave out one"))
	}
	return s, err
}

func labelName(name string) bool {
	rest := strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
	return name != "" && len(rest) < len(name) && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == ""
}

func parseRegexp(v draft.Value, dst **regexp.Regexp) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return v.Errorf("%q: %w", text, err)
	}
	*dst = re
	return nil
}

func parseRegexps(v draft.Value, dst *[]*regexp.Regexp) error {
	return v.Each1(func(v draft.Value) error {
		var re *regexp.Regexp
		err := parseRegexp(v, &re)
		*dst = append(*dst, re)
		return err
	})
}

func (m *module) parseGRPC(key string, v draft.Value) error {
	switch key {
	case "service":
		return v.Word(&m.grpc.service)
	case "metadata":
		m.grpc.metadata = map[string][]string{}
		return v.All(func(key string, v draft.Value) error {
			var list []string
			err := v.Words(&list)
			m.grpc.metadata[key] = list
			return err
		})
	}
	return m.parseTCP(key, v)
}

func (m *module) parseICMP(key string, v draft.Value) error {
	switch key {
	case "payload_size":
		return v.Int(&m.icmp.size, 0, 65000)
	case "ttl":
		return v.Int(&m.icmp.ttl, 0, 255)
	case "dont_fragment":
		var yes bool
		err := v.Bool(&yes)
		if yes {
			m.refuse = "dont_fragment needs a raw socket, which this process does not open"
		}
		return err
	}
	return m.address.parse(key, v)
}

// parseSize reads a body_size_limit: powers of 1,024 whatever the unit says, as blackbox_exporter has it.
func parseSize(v draft.Value, dst *int64) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	n, err := draft.ParseSize(strings.Replace(strings.TrimSuffix(strings.TrimSuffix(text, "B"), "i"), "B", "", 1))
	if err != nil || n > math.MaxInt64/2 {
		return v.Errorf("%q is no size such as 512KB or 2MB", text)
	}
	*dst = n
	return nil
}
