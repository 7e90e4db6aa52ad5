package outputs

import "testing"

func TestOutputsAreShownWithoutSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"stdout": "stdout",
		"elasticsearch://es:9200/x?gzip=true&api-key-file=F":            "elasticsearch://es:9200/x?gzip=true&api-key-file=F",
		"elasticsearch://u:p@ss@es:9200/x":                              "elasticsearch://u:***@es:9200/x",
		"elasticsearch://u@es:9200/a@b?headers=X-A:k1,X-B:k2&gzip=true": "elasticsearch://u@es:9200/a@b?headers=X-A:***,X-B:***&gzip=true",
		"https://h/y?token=k1&a=k2#headers=X:k3&method=PUT":             "https://h/y?token=***&a=***#headers=X:***&method=PUT",
		"HTTPS://h/y?token=k1":                                          "HTTPS://h/y?token=***",
		"http+https://h/y?token=k1":                                     "http+https://h/y?token=***",
		"htps://h/y?token=k1#gzip=true&x=k2":                            "htps://h/y?token=***#gzip=true&x=***",
		"https:/h/y?token=k1":                                           "https:/h/y?token=***",
		"loki://h/?password=k1&a&tenant=b":                              "loki://h/?password=***&***&tenant=b",
		"loki://u:k1/k2@h/x":                                            "loki://u:***@h/x",
		"loki://u:k1?k2@h/x":                                            "loki://u:***?***",
		"otlp://h1:1,[::1]:2/x?headers=X=k1,k2":                         "otlp://h1:1,[::1]:2/x?headers=X=***,***",
		"s3://b/%{a:-b}@%Y":                                             "s3://b/%{a:-b}@%Y",
		"file:///a:b@c?keep=1":                                          "file:///a:b@c?keep=1",
		"https://h:80/a:b@c":                                            "https://h:80/a:b@c",
	} {
		if got := Show(in); got != want {
			t.Errorf("Show(%q) = %q; want %q", in, got, want)
		}
	}
}
