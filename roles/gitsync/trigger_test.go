package gitsync

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func TestTriggerThatComesTooEarlyIsPassedOnLater(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		h := newTrigger(file, wake, zerolog.Nop())
		post := func() {
			t.Helper()
			req := httptest.NewRequest(http.MethodPost, "/trigger", strings.NewReader("{}"))
			req.Header.Set("X-Gitlab-Token", "s3cret")
			rec := httptest.NewRecorder()
			if h.ServeHTTP(rec, req); rec.Code != http.StatusAccepted {
				t.Fatalf("answer %d; want 202", rec.Code)
			}
		}
		begin := time.Now()
		post()
		<-wake // the role looks; the next push comes right after
		for range 3 {
			time.Sleep(100 * time.Millisecond)
			post()
		}
		<-wake
		if got := time.Since(begin); got != triggerEvery {
			t.Errorf("the second trigger was passed on after %s; want %s", got, triggerEvery)
		}
		time.Sleep(time.Hour)
		if len(wake) != 0 {
			t.Error("a third trigger was passed on; want the three to be one")
		}
		post()
		if len(wake) != 1 {
			t.Error("a trigger after a calm hour waits; want it passed on at once")
		}
	})
}

func TestTriggerIsRefusedWithoutTheSecret(t *testing.T) {
	const body = `{"ref":"refs/heads/main"}`
	tests := []struct {
		name, header, value string
		want                bool
	}{
		{"nothing", "", "", false},
		{"GitLab", "X-Gitlab-Token", "key", true},
		{"GitLab, wrong", "X-Gitlab-Token", "kez", false},
		{"GitHub", "X-Hub-Signature-256", "sha256=SIG", true},
		{"GitHub, other body", "X-Hub-Signature-256", "sha256=OTHER", false},
		{"GitHub, no hex", "X-Hub-Signature-256", "sha256=zz", false},
		{"Gitea", "X-Gitea-Signature", "SIG", true},
		{"Forgejo", "X-Forgejo-Signature", "SIG", true},
		{"Bitbucket", "X-Hub-Signature", "sha256=SIG", true},
	}
	for _, tt := range tests {
		h := http.Header{}
		value := strings.NewReplacer("SIG", signature("key", body), "OTHER", signature("key", "else")).Replace(tt.value)
		if tt.header != "" {
			h.Set(tt.header, value)
		}
		if got := authentic(h, []byte(body), "key"); got != tt.want {
			t.Errorf("%s: authentic = %v; want %v", tt.name, got, tt.want)
		}
	}
	h := http.Header{"X-Gitlab-Token": {""}}
	if authentic(h, nil, "") {
		t.Error("an empty secret lets everybody in")
	}
}

func signature(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}
