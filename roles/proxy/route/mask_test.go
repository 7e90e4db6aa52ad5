package route

import (
	"strings"
	"testing"
)

func TestMaskHidesAllOfAValue(t *testing.T) {
	for text, want := range map[string]string{
		"http://:1?set-header=A:hunter2 => http://b:1":                        "http://:1?set-header=A:*** => http://b:1",
		"http://:1?set-header=A:Bearer hunter2 => http://b:1":                 "http://:1?set-header=A:*** => http://b:1",
		"http://:1?set-header=A:Bearer hunter2=>http://b:1":                   "http://:1?set-header=A:***=>http://b:1",
		"http://:1?set-header=A:Bearer hunter2&log=off => http://b:1":         "http://:1?set-header=A:***&log=off => http://b:1",
		"http://:1?set-header=A%3Ahunter2 => http://b:1":                      "http://:1?set-header=*** => http://b:1",
		"http://:1?set-header=A:file:/run/token => http://b:1":                "http://:1?set-header=A:file:/run/token => http://b:1",
		"http://:1 => http://b:1?set-header=A:hunter2&set-header=B:hunter2 x": "http://:1 => http://b:1?set-header=A:***&set-header=B:***",
	} {
		if got := Mask(text); got != want {
			t.Errorf("Mask(%q) = %q; want %q", text, got, want)
		}
	}
}

// TestErrorsHaveNoSecret: what is wrong with a value is said without it, and in one line.
func TestErrorsHaveNoSecret(t *testing.T) {
	for _, text := range []string{
		"http://:1?set-header=A:hunter2%0a => http://b:1",
		"http://:1?set-header=Bad Name:hunter2 => http://b:1",
		"http://:1?set-header=Host:hunter2 => http://b:1",
		"http://:1?set-header=hunter2 => http://b:1",
		"http://:1?set-header=A:%zzhunter2 => http://b:1",
		"http://:1?max-body=x?set-header=A:hunter2 => http://b:1",
		"http://:1?set-header=A:hunter2 => http://b:1 => http://c:1",
		"http://:1?set-header=A:hunter2 =>",
		" =http://:1?set-header=A:hunter2 => http://b:1",
		"=> http://b:1?set-header=A:hunter2",
		"http://:1?=x&set-header=A:hunter2 => http://b:1",
		"http://:1?redirect=http://a%0abc",
	} {
		d, err := ParseText(text, "--route")
		if err == nil {
			_, err = Build([]Draft{d}, nil)
		}
		var all []string
		if err != nil {
			all = strings.Split(err.Error(), "\n")
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v; want an error without the value", text, err)
		}
		for _, line := range all {
			if !strings.HasPrefix(line, "--route") {
				t.Errorf("%q: line %q; want each to begin with its place", text, line)
			}
		}
	}
}
