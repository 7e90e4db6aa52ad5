package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestProxyServesABrowser: a page over HTTP/2, a WebSocket and events, through the route of the manual. It is not parallel, and the page
// is loaded again where it has to be: a browser breaks connections off when interfaces come and go on its machine, as they do with every
// container.
func TestProxyServesABrowser(t *testing.T) {
	browser := needs(t, "chromium")
	s, ca := legacyStage(t), newAuthority(t)
	secret := ca.secret(t, time.Hour, "shop.example")
	proxy := s.proxy([]string{folder(t, secret) + ":/tls:ro"}, "--route", "https://:8443?cert=/tls => http://127.0.0.1:8080")
	options := chromedp.WithAllocatorOptions(chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("host-resolver-rules", "MAP shop.example "+s.ip), chromedp.Flag("ignore-certificate-errors-spki-list", keyHash(t, secret["tls.crt"])))
	ctx, cancelTime := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancelTime()
	ctx, cancel := chromedp.NewContext(ctx, options)
	defer cancel()
	complaints := listen(t, ctx)
	want := []string{"page by h2", "told https shop.example:8443", "socket says through the proxy", "socket closed 1005", "3 events"}
	var seen []string
	eventually(t, 90*time.Second, "the page", func() error {
		already := len(complaints())
		err := chromedp.Do(ctx, chromedp.Navigate("https://"+net.JoinHostPort("shop.example", "8443")+"/page"))
		var text string
		for wait := time.Now().Add(15 * time.Second); err == nil && time.Now().Before(wait); time.Sleep(50 * time.Millisecond) {
			text, err = chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
			if seen = complaints()[already:]; err == nil && saysAll(text, want) {
				return nil
			}
			if slices.ContainsFunc(seen, elsewhere) {
				break
			}
		}
		return errors.Join(err, fmt.Errorf("it says %q; want %q; complaints %q", text, want, seen))
	})
	if c := slices.DeleteFunc(seen, elsewhere); len(c) > 0 {
		t.Errorf("the browser complains: %q", c)
	}
	s.ends(proxy)
}

func saysAll(text string, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(text, w) })
}

// elsewhere tells what a browser says when a container of another test came or went.
func elsewhere(complaint string) bool { return strings.Contains(complaint, "ERR_NETWORK_CHANGED") }

// keyHash is how chromium names the key of a certificate that it shall trust.
func keyHash(t *testing.T, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
