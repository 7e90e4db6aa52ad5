package suggest

import "testing"

func TestClosest(t *testing.T) {
	words := []string{"repo", "ref", "root", "period", "drain-timeout"}
	for in, want := range map[string]string{
		"rpeo": "repo", "repos": "repo", "perod": "period", "drain-timout": "drain-timeout",
		"drain_timeout": "drain-timeout", "xyz": "", "": "", "roott": "root", "completely": "",
	} {
		if got := Closest(in, words); got != want {
			t.Errorf("Closest(%q) = %q; want %q", in, got, want)
		}
	}
}
