package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
)

// signer signs requests by version 4 of the signatures that S3 wants.
type signer struct {
	region            string
	id, secret, token *link.Secret
	now               func() time.Time
}

// sign adds the headers of the signature. The path of the request has to be written by escape.
func (s *signer) sign(req *http.Request, body []byte) error {
	var values [3]string
	for i, one := range []*link.Secret{s.id, s.secret, s.token} {
		if !one.Set() {
			continue
		}
		v, err := one.Value()
		if err != nil {
			return &out.Failure{How: out.Pause, Err: err}
		}
		if strings.ContainsAny(v, "\r\n\x00 ") {
			return out.Fail(out.Pause, "read secret: %s is more than one word", one.File)
		}
		values[i] = v
	}
	now := s.now().UTC()
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-Content-Sha256", payload)
	if values[2] != "" {
		req.Header.Set("X-Amz-Security-Token", values[2])
	}
	names, canonical := headers(req)
	text := strings.Join([]string{req.Method, req.URL.EscapedPath(), req.URL.RawQuery, canonical, names, payload}, "\n")
	hashed := sha256.Sum256([]byte(text))
	scope := day + "/" + s.region + "/s3/aws4_request"
	toSign := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(hashed[:])
	key := []byte("AWS4" + values[1])
	for _, part := range []string{day, s.region, "s3", "aws4_request", toSign} {
		m := hmac.New(sha256.New, key)
		_, _ = m.Write([]byte(part))
		key = m.Sum(nil)
	}
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", values[0], scope, names, hex.EncodeToString(key)))
	return nil
}

// headers are the names that are signed, and the lines of the canonical request.
func headers(req *http.Request) (names, canonical string) {
	all := []string{"host"}
	for name := range req.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") || lower == "content-type" || lower == "range" {
			all = append(all, lower)
		}
	}
	slices.Sort(all)
	var b strings.Builder
	for _, name := range all {
		value := req.Host
		if name != "host" {
			value = strings.Join(strings.Fields(req.Header.Get(name)), " ")
		}
		b.WriteString(name + ":" + value + "\n")
	}
	return strings.Join(all, ";"), b.String()
}

// escape writes a path as the signature wants it: everything but letters, digits and -._~/ is %XX.
func escape(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
