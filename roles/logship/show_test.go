package logship

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestOutputsAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"stdout": "stdout",
		"elasticsearch://es:9200/x?gzip=true&api-key-file=F":            "elasticsearch://es:9200/x?gzip=true&api-key-file=F",
		"elasticsearch://u:p@ss@es:9200/x":                              "elasticsearch://u:***@es:9200/x",
		"elasticsearch://u@es:9200/a@b?headers=X-A:k1,X-B:k2&gzip=true": "elasticsearch://u@es:9200/a@b?headers=X-A:***,X-B:***&gzip=true",
		"https://h/y?token=k1&a=k2#headers=X:k3&method=PUT":             "https://h/y?token=***&a=***#headers=X:***&method=PUT",
		"https://h:80/a:b@c":                                            "https://h:80/a:b@c",
	} {
		if got := showOutput(in); got != want {
			t.Errorf("showOutput(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestNodesAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	var n yaml.Node
	text := `
- "http://h/?k=K1"
- {to: "loki://u:K2@l", headers: {Authorization: Bearer K3}, labels: {app: shop}}
- {headers: &h ["X:K4"], also: *h}
- {transforms: [{redact: {with: hash, salt: K5}}, {redact: {salt: "${SALT}"}}]}
`
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	shown, err := yaml.Marshal(showNode(n.Content[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"K1", "K2", "K3", "K5"} {
		if strings.Contains(string(shown), secret) {
			t.Errorf("showNode shows %s; want it masked:\n%s", secret, shown)
		}
	}
	for _, plain := range []string{"${SALT}", "shop", "Authorization", "loki://u:***@l"} {
		if !strings.Contains(string(shown), plain) {
			t.Errorf("showNode hides %s; want it shown:\n%s", plain, shown)
		}
	}
}
