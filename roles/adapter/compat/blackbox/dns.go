package blackbox

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// dnsSettings are what is asked, and what of the answer counts.
type dnsSettings struct {
	transport, name string
	kind, class     uint16
	recurse         bool
	rcodes          []uint16
	rules           [3]dnsRules // answer, authority, additional
}

// dnsRules are in the order of their keys: matches, all match, not matches, none matches.
type dnsRules [4][]*regexp.Regexp

func (m *module) parseDNS(v draft.Value) error {
	d := &m.dns
	known := append([]string{
		"dns_over_tls", "tls_config", "transport_protocol", "query_class", "query_name", "query_type", "recursion_desired", "valid_rcodes",
		"validate_answer_rrs", "validate_authority_rrs", "validate_additional_rrs",
	}, addressKeys()...)
	err := v.Each(known, func(key string, v draft.Value) error {
		switch key {
		case "dns_over_tls":
			return v.Bool(&m.useTLS)
		case "tls_config":
			return m.parseTLS(v)
		case "transport_protocol":
			return v.OneOf(&d.transport, "udp", "tcp")
		case "query_class":
			return parseNumber(v, classNames(), &d.class)
		case "query_type":
			return parseNumber(v, typeNames(), &d.kind)
		case "query_name":
			if err := v.Word(&d.name); err != nil {
				return err
			}
			if _, err := appendQuestion(nil, 0, false, d.name, 0, 0); err != nil {
				return v.Errorf("%w", err)
			}
			return nil
		case "recursion_desired":
			return v.Bool(&d.recurse)
		case "valid_rcodes":
			return v.Each1(func(v draft.Value) error {
				var n uint16
				err := parseNumber(v, rcodeNames(), &n)
				d.rcodes = append(d.rcodes, n)
				return err
			})
		case "validate_answer_rrs":
			return d.rules[0].parse(v)
		case "validate_authority_rrs":
			return d.rules[1].parse(v)
		case "validate_additional_rrs":
			return d.rules[2].parse(v)
		}
		return m.address.parse(key, v)
	})
	switch {
	case err != nil:
	case d.name == "":
		err = v.Errorf("want query_name")
	case m.useTLS && d.transport == "udp":
		err = v.Errorf("dns_over_tls wants transport_protocol: tcp")
	}
	return err
}

func parseNumber(v draft.Value, list []string, dst *uint16) error {
	var name string
	if err := v.Word(&name); err != nil {
		return err
	}
	n, ok := numberOf(list, name)
	if !ok {
		return v.Errorf("%q is not known%s", name, suggest.DidYouMean("", name, []string{"A", "AAAA", "SOA", "MX", "TXT", "SRV", "NOERROR", "NXDOMAIN", "IN"}))
	}
	*dst = n
	return nil
}

func (d *dnsRules) parse(v draft.Value) error {
	known := []string{"fail_if_matches_regexp", "fail_if_all_match_regexp", "fail_if_not_matches_regexp", "fail_if_none_matches_regexp"}
	return v.Each(known, func(key string, v draft.Value) error { return parseRegexps(v, &d[slices.Index(known, key)]) })
}

func (d *dnsRules) check(list []record) error {
	if len(list) == 0 && len(d[2])+len(d[3]) > 0 {
		return errors.New("there is no record that could match")
	}
	all, some := true, false
	for _, rec := range list {
		for _, re := range d[0] {
			if re.MatchString(rec.text) {
				return fmt.Errorf("a record matches %q", re)
			}
		}
		for _, re := range d[1] {
			all = all && re.MatchString(rec.text)
		}
		for _, re := range d[2] {
			if !re.MatchString(rec.text) {
				return fmt.Errorf("a record does not match %q", re)
			}
		}
		for _, re := range d[3] {
			some = some || re.MatchString(rec.text)
		}
	}
	switch {
	case len(d[1]) > 0 && !all: // blackbox_exporter has it this way round, whatever the key says
		return errors.New("not all records match fail_if_all_match_regexp")
	case len(d[3]) > 0 && !some:
		return errors.New("no record matches fail_if_none_matches_regexp")
	}
	return nil
}

const dnsSeconds = "probe_dns_duration_seconds"

func (l *look) probeDNS(ctx context.Context) error {
	r := l.report
	for _, phase := range []string{"connect", "request", "resolve"} {
		r.set(dnsSeconds, "Duration of DNS request by phase", 0, "phase", phase)
	}
	sections := [3]string{"answer", "authority", "additional"}
	for _, s := range sections {
		r.set("probe_dns_"+s+"_rrs", "Returns number of entries in the "+s+" resource record list", 0)
	}
	r.set("probe_dns_query_succeeded", "Displays whether or not the query was executed successfully", 0)
	host, port, err := net.SplitHostPort(l.target)
	if err != nil {
		host, port = l.target, "53"
		if l.useTLS {
			port = "853"
		}
	}
	addr, err := l.find(ctx, host, port, dnsSeconds)
	if err != nil {
		return err
	}
	start := time.Now()
	conn, err := l.dial(ctx, l.dns.transport, addr, port)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if l.useTLS {
		secure, err := l.tls.shake(ctx, conn, host, true)
		if err != nil {
			return err
		}
		conn = secure
	}
	r.set(dnsSeconds, "", time.Since(start).Seconds(), "phase", "connect")
	start = time.Now()
	m, err := l.dns.ask(conn)
	r.set(dnsSeconds, "", time.Since(start).Seconds(), "phase", "request")
	if err != nil {
		return err
	}
	return l.judgeDNS(m, sections)
}

func (l *look) judgeDNS(m reply, sections [3]string) error {
	for i, s := range sections {
		l.report.set("probe_dns_"+s+"_rrs", "", float64(len(m.sections[i])))
	}
	l.report.set("probe_dns_query_succeeded", "", 1)
	if nameOf(typeNames(), l.dns.kind, "") == "SOA" {
		serial := uint32(0)
		for _, rec := range m.sections[0] {
			if rec.kind == l.dns.kind {
				serial = rec.serial
			}
		}
		l.report.set("probe_dns_serial", "Returns the serial number of the zone", float64(serial))
	}
	code := m.flags & 15
	if len(l.dns.rcodes) == 0 && code != 0 || len(l.dns.rcodes) > 0 && !slices.Contains(l.dns.rcodes, code) {
		return fmt.Errorf("the answer has the code %s", nameOf(rcodeNames(), code, ""))
	}
	for i, s := range sections {
		if err := l.dns.rules[i].check(m.sections[i]); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// ask sends a question and waits for its answer; other messages are passed over.
func (d *dnsSettings) ask(conn net.Conn) (reply, error) {
	var id [2]byte
	_, _ = rand.Read(id[:]) // it cannot fail
	question, err := appendQuestion(nil, binary.BigEndian.Uint16(id[:]), d.recurse, d.name, d.kind, d.class)
	if err != nil {
		return reply{}, err
	}
	stream := d.transport == "tcp"
	if stream {
		question = append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...) //nolint:gosec // below 300
	}
	if _, err := conn.Write(question); err != nil {
		return reply{}, err
	}
	buf := make([]byte, 65535)
	for {
		n := 0
		if stream {
			var size [2]byte
			if _, err = io.ReadFull(conn, size[:]); err == nil {
				n, err = io.ReadFull(conn, buf[:binary.BigEndian.Uint16(size[:])])
			}
		} else {
			n, err = conn.Read(buf)
		}
		if err != nil {
			return reply{}, err
		}
		m, err := parseReply(buf[:n])
		if err == nil && m.id == binary.BigEndian.Uint16(id[:]) {
			return m, nil
		}
		if stream {
			return m, errMessage
		}
	}
}
