package blackbox

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/order"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// report is what a probe found out.
type report struct{ page model.Page }

// set says what a gauge is; labels are names and values by turns.
func (r *report) set(name, help string, value float64, labels ...string) {
	s := r.sample(name, help, labels)
	s.Value = value
}

// add adds to a gauge.
func (r *report) add(name string, value time.Duration, labels ...string) {
	s := r.sample(name, "", labels)
	s.Value += value.Seconds()
}

func (r *report) sample(name, help string, pairs []string) *model.Sample {
	var labels []model.Label
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			labels = append(labels, model.Label{Name: pairs[i], Value: strings.ToValidUTF8(pairs[i+1], "\uFFFD")})
		}
	}
	at := slices.IndexFunc(r.page.Families, func(f model.Family) bool { return f.Name == name })
	if at < 0 {
		at = len(r.page.Families)
		r.page.Families = append(r.page.Families, model.Family{Name: name, Help: help, Type: model.Gauge})
	}
	f := &r.page.Families[at]
	for i := range f.Samples {
		if slices.Equal(f.Samples[i].Labels, labels) {
			return &f.Samples[i]
		}
	}
	f.Samples = append(f.Samples, model.Sample{Labels: labels})
	return &f.Samples[len(f.Samples)-1]
}

// sorted is the page in the order of Prometheus' client library.
func (r *report) sorted() *model.Page {
	order.Sort(r.page.Families, func(a, b model.Family) int { return strings.Compare(a.Name, b.Name) })
	return &r.page
}

// secured tells of a TLS connection.
func (r *report) secured(s *tls.ConnectionState, chain, cipher bool) {
	if len(s.PeerCertificates) == 0 {
		return
	}
	leaf := s.PeerCertificates[0]
	r.set("probe_ssl_earliest_cert_expiry", "Returns last SSL chain expiry in unixtime", unix(earliest(s)))
	r.set("probe_tls_version_info", "Returns the TLS version used or NaN when unknown", 1, "version", tls.VersionName(s.Version))
	if cipher {
		r.set("probe_tls_cipher_info", "Returns the TLS cipher negotiated during handshake", 1, "cipher", tls.CipherSuiteName(s.CipherSuite))
	}
	if chain {
		r.set("probe_ssl_last_chain_expiry_timestamp_seconds", "Returns last SSL chain expiry in timestamp", unix(lastChain(s)))
	}
	sum := sha256.Sum256(leaf.Raw)
	r.set("probe_ssl_last_chain_info", "Contains SSL leaf certificate information", 1, "fingerprint_sha256", hex.EncodeToString(sum[:]), "issuer", leaf.Issuer.String(),
		"serialnumber", fmt.Sprintf("%x", leaf.SerialNumber.Bytes()), "subject", leaf.Subject.String(), "subjectalternative", strings.Join(leaf.DNSNames, ","))
}

// unix is what the zero time is, too: -62135596800.
func unix(t time.Time) float64 { return float64(t.Unix()) }

func earliest(s *tls.ConnectionState) (at time.Time) {
	for _, c := range s.PeerCertificates {
		if at.IsZero() || c.NotAfter.Before(at) {
			at = c.NotAfter
		}
	}
	return at
}

// lastChain is when the last of the verified chains ends.
func lastChain(s *tls.ConnectionState) (last time.Time) {
	for _, chain := range s.VerifiedChains {
		var end time.Time
		for _, c := range chain {
			if end.IsZero() || c.NotAfter.Before(end) {
				end = c.NotAfter
			}
		}
		if last.Before(end) {
			last = end
		}
	}
	return last
}
