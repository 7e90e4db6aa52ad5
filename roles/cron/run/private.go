package run

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// privateLen is how long a part of a request is that may be a secret; a shorter one is a word that an answer cannot be read without.
const privateLen = 8

// private are the parts of a request that may be secrets, the longest first. A server may repeat them in its answer, which is logged and is
// in the history of the job.
func private(req *http.Request, r *job.Request) []string {
	var list []string
	add := func(texts ...string) {
		for _, text := range texts {
			if len(text) >= privateLen {
				list = append(list, text)
			}
		}
	}
	for name, value := range r.Headers {
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Accept", "Content-Type", "User-Agent":
			continue
		}
		add(value, value[strings.LastIndexByte(value, ' ')+1:]) // what follows Bearer
	}
	if password, ok := req.URL.User.Password(); ok {
		list = append(list, base64.StdEncoding.EncodeToString([]byte(req.URL.User.Username()+":"+password)))
		add(password)
	}
	for pair := range strings.SplitSeq(req.URL.RawQuery, "&") {
		_, value, _ := strings.Cut(pair, "=")
		add(value)
	}
	for _, values := range req.URL.Query() {
		add(values...)
	}
	add(r.Body)
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	return list
}

// hide masks what is private in an answer.
func hide(answer []byte, private []string) []byte {
	for _, text := range private {
		answer = bytes.ReplaceAll(answer, []byte(text), []byte(secret.Mask))
	}
	return answer
}
