package logship

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestNodesAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	var n yaml.Node
	text := `
- "http://h/?k=K1"
- {to: "loki://u:K2@l", headers: {Authorization: Bearer K3}, labels: {app: shop}}
- {to: "loki://h?password=K6", password: K7, api-key: K8}
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
	for _, secret := range []string{"K1", "K2", "K3", "K5", "K6", "K7", "K8"} {
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
