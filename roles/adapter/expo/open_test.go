package expo

import (
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// TestOpenMetricsIsStrict has a body for each class of the cases of the OpenMetrics project, and what is wrong with it; # EOF is added.
func TestOpenMetricsIsStrict(t *testing.T) {
	for _, c := range []struct{ body, wrong string }{
		// counter_*, simple_*, unit_gauge, empty_*, no_metadata, type_help_switched, nan, untyped
		{"", ""},
		{"m 7\n", ""},
		{"m NaN\n", ""},
		{"# HELP m text\n# TYPE m counter\nm_total 7\n", ""},
		{"# TYPE m counter\nm_total{} 0 5 # {k=\"v\"} 0.5\n", ""},
		{"# TYPE m_bytes counter\n# UNIT m_bytes bytes\nm_bytes_total 1.5\nm_bytes_created 7.25\n", ""},
		{"# HELP m \n# UNIT m \n", ""},
		{"# TYPE m unknown\nm{k=\"v\"} 7\n", ""},
		{"# TYPE m stateset\nm{m=\"on\"} 1\nm{m=\"off\"} 0.0\n", ""},
		{"# TYPE m info\nm_info{k=\"1\"} 1 2\nm_info{k=\"2\"} 1 1\n", ""},
		{"# TYPE m summary\nm{quantile=\"0\"} 3\nm{quantile=\"1\"} 4\nm_sum 7\nm_count 2\nm_created 1\n", ""},
		{"# TYPE m histogram\nm_bucket{le=\"0.5\"} 1 # {} 0.2 9\nm_bucket{le=\"+Inf\"} 2\nm_sum 3\nm_count 2\n", ""},
		{"# TYPE m histogram\nm_bucket{le=\"1e-04\"} 1\nm_bucket{le=\"10000000000.0\"} 1\nm_bucket{le=\"+Inf\"} 1\n", ""},
		{"# TYPE m histogram\nm_bucket{le=\"-2\"} 1\nm_bucket{le=\"+Inf\"} 1\n", ""},
		{"# TYPE m gaugehistogram\nm_bucket{le=\"-2\"} 1\nm_bucket{le=\"+Inf\"} 1\nm_gcount 1\nm_gsum -2\n", ""},
		// escaping, hash_in_label_value, null_byte, leading_zeros, uint64, timestamps, exemplars_wide_chars
		{"# HELP m a\\nb\\\\c\\d\"e\nm{k=\"x\\\"y\\nz\\\\w\\q # {\"} 1\n", ""},
		{"# HELP m nul\x00byte\nm 1\n", ""},
		{"m 00000000000000000000000000000000000000017.5e-1\n", ""},
		{"m{k=\"1\"} 9223372036854775808 98765432109876543210.25\nm{k=\"2\"} 1 1.5e3\n", ""},
		{"# TYPE m gauge\nm 1 0\nm 2 0\nm 3 0.0000001\n", ""},
		{"# TYPE m counter\nm_total 1 # {k=\"" + strings.Repeat("é", 127) + "\"} 1\n", ""},
		// bad_no_eof, bad_text_after_eof, bad_blank_line, bad_metadata, bad_help, bad_type, bad_unit
		{"m 1\n# EOF\nm 2\n", afterEOF},
		{"m 1\n\nn 2\n", emptyLine},
		{"# NOTE m x\n", noMeta},
		{"#m 1\n", noMeta},
		{"# HELP\n", noMeta},
		{"# HELP m\n", noMeta},
		{"# HELP  m x\n", noMeta},
		{"# HELP m\tx\n", noMeta},
		{" # HELP m x\n", noName},
		{"# TYPE m gauge \n", noOpenType},
		{"# TYPE m untyped\n", noOpenType},
		{"# UNIT m_seconds second\n", noUnit},
		{"# UNIT m_seconds seconds \n", noUnit},
		{"# TYPE m_x info\n# UNIT m_x x\n", unitOfInfo},
		{"# TYPE m_x stateset\n# UNIT m_x x\n", unitOfInfo},
		{"# HELP m a\n# HELP m b\n", twoHelps},
		{"# TYPE m gauge\n# TYPE m gauge\n", twoTypes},
		{"# UNIT m_x x\n# UNIT m_x x\n", twoUnits},
		{"# HELP m a\nm 1\n# TYPE m gauge\n", lateMeta},
		{"# TYPE m_s gauge\nm_s 1\n# UNIT m_s s\n", lateMeta},
		{"# TYPE m gauge\nm 1\nn 1\n# HELP m x\n", lateMeta},
		// bad_clashing_names, bad_metric_names, bad_invalid_labels, bad_missing_*
		{"# TYPE m_created gauge\n# TYPE m counter\n", clash},
		{"# TYPE m histogram\nm_bucket{le=\"+Inf\"} 1\n# TYPE m_count gauge\n", clash},
		{"7m 1\n", noName},
		{"m.n 1\n", noSpace},
		{"m{7=\"v\"} 1\n", noLabel},
		{"m{k=\"1\",k=\"2\"} 1\n", twoLabels},
		{"m{k=\"1\"l=\"2\"} 1\n", noComma},
		{"m{k=\"1\",,l=\"2\"} 1\n", noLabel},
		{"m{k=\"1\",} 1\n", noLabel},
		{"m{k} 1\n", noEqual},
		{"m{k\"1\"} 1\n", noEqual},
		{"m{k=1} 1\n", noQuote},
		{"m{k='1'} 1\n", noQuote},
		{"m{k=\"1} 1\n", noEnd},
		{"m{k=\"1\"}1\n", noSpace},
		{"m\n", noSpace},
		{"m \n", noValue},
		// bad_value, bad_timestamp
		{"m x\n", noValue},
		{"m  1\n", noValue},
		{"m 1 \n", noTimeOM},
		{"m 1\t\n", noValue},
		{"m 1_000\n", noValue},
		{"m 0x1p3\n", noValue},
		{"m 0b1\n", noValue},
		{"m 1 x\n", noTimeOM},
		{"m 1 1.2.3\n", noTimeOM},
		{"m 1 NaN\n", noTimeOM},
		{"m 1 +Inf\n", noTimeOM},
		{"m 1 0x1p3\n", noTimeOM},
		// bad_counter_values, bad_info_and_stateset_values, bad_missing_or_invalid_labels_for_a_type
		{"# TYPE m counter\nm_total -0.5\n", badValue},
		{"# TYPE m counter\nm_total NaN\n", badValue},
		{"# TYPE m histogram\nm_bucket{le=\"+Inf\"} NaN\n", badValue},
		{"# TYPE m histogram\nm_sum -1\n", badValue},
		{"# TYPE m gaugehistogram\nm_gcount -1\n", badValue},
		{"# TYPE m gaugehistogram\nm_gsum NaN\n", badValue},
		{"# TYPE m summary\nm_count -1\n", badValue},
		{"# TYPE m summary\nm{quantile=\"0.5\"} -1\n", badValue},
		{"# TYPE m info\nm_info 2\n", badValue},
		{"# TYPE m stateset\nm{m=\"x\"} 0.5\n", badValue},
		{"# TYPE m stateset\nm 1\n", noTypeLabel},
		{"# TYPE m summary\nm 1\n", noTypeLabel},
		{"# TYPE m histogram\nm_bucket 1\n", noTypeLabel},
		{"# TYPE m summary\nm{quantile=\"1.5\"} 1\n", notInRange},
		{"# TYPE m summary\nm{quantile=\"NaN\"} 1\n", notInRange},
		{"# TYPE m summary\nm{quantile=\"x\"} 1\n", notInRange},
		{"# TYPE m histogram\nm_bucket{le=\"+INF\"} 1\n", notInRange},
		// bad_histograms
		{"# TYPE m histogram\nm_sum 1\n", badHistogram},
		{"# TYPE m histogram\nm_bucket{le=\"1\"} 1\n", badHistogram},
		{"# TYPE m histogram\nm_bucket{le=\"2\"} 1\nm_bucket{le=\"1\"} 1\nm_bucket{le=\"+Inf\"} 1\n", badHistogram},
		{"# TYPE m histogram\nm_bucket{le=\"1\"} 2\nm_bucket{le=\"+Inf\"} 1\n", badHistogram},
		{"# TYPE m histogram\nm_bucket{le=\"+Inf\"} 1\nm_sum 1\n", badHistogram},
		{"# TYPE m histogram\nm_bucket{le=\"+Inf\"} 1\nm_count 1\n", badHistogram},
		{"# TYPE m histogram\nm_bucket{le=\"+Inf\"} 1\nm_sum 1\nm_count 2\n", badHistogram},
		{"# TYPE m histogram\nm_bucket{le=\"-1\"} 0\nm_bucket{le=\"+Inf\"} 1\nm_sum 1\nm_count 1\n", badHistogram},
		{"# TYPE m gaugehistogram\nm_bucket{le=\"+Inf\"} 1\nm_gsum -1\nm_gcount 1\n", badHistogram},
		// bad_grouping_or_ordering
		{"# TYPE m gauge\nm{k=\"1\"} 1\nm{k=\"2\"} 1\nm{k=\"1\"} 1\n", notTogether},
		{"# TYPE m counter\nm_total{k=\"1\"} 1\nm_total{k=\"2\"} 1\nm_created{k=\"1\"} 1\n", notTogether},
		{"# TYPE m gauge\nm 1\nn 1\nm 2\n", notTogether},
		{"# TYPE m gauge\nm 1 1\nm 1\n", mixedTimes},
		{"# TYPE m gauge\nm 1\nm 1 1\n", mixedTimes},
		{"# TYPE m gauge\nm 1 2\nm 1 1.5\n", mixedTimes},
		// bad_exemplars, bad_exemplars_on_unallowed_*
		{"# TYPE m gauge\nm 1 # {k=\"v\"} 1\n", noExemplar},
		{"# TYPE m histogram\nm_sum 1 # {k=\"v\"} 1\n", noExemplar},
		{"# TYPE m counter\nm_created 1 # {k=\"v\"} 1\n", noExemplar},
		{"# TYPE m info\nm_info 1 # {k=\"v\"} 1\n", noExemplar},
		{"# TYPE m counter\nm_total 1 #\n", noLine},
		{"# TYPE m counter\nm_total 1 #{} 1\n", noLine},
		{"# TYPE m counter\nm_total 1# {} 1\n", noValue},
		{"# TYPE m counter\nm_total 1 # {}1\n", badExemplar},
		{"# TYPE m counter\nm_total 1 # {k=\"v\"} \n", badExemplar},
		{"# TYPE m counter\nm_total 1 # {} 1 \n", badExemplar},
		{"# TYPE m counter\nm_total 1 # {} 0x1p3\n", noLine},
		{"# TYPE m counter\nm_total 1 # {} 1 0x1p3\n", noLine},
		{"# TYPE m counter\nm_total 1 # {} 1 NaN\n", badExemplar},
		{"# TYPE m counter\nm_total 1 # {k=\"" + strings.Repeat("é", 128) + "\"} 1\n", badExemplar},
		{"m{k=\"\xff\"} 1\n", "UTF-8"},
	} {
		_, _, err := Decode([]byte(c.body+eof), model.OpenMetrics, model.Limits{})
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("Decode(%q) = %v; want %q", c.body, err, c.wrong)
		}
	}
	for _, body := range []string{"", "m 1\n", "m 1\n# EOFx", "m 1\n# EOF\n\n", "m 1 # EOF\n"} {
		if _, _, err := Decode([]byte(body), model.OpenMetrics, model.Limits{}); err == nil {
			t.Errorf("Decode(%q) = nil; want an error", body)
		}
	}
	if _, _, err := Decode([]byte("m 1\n# EOF"), model.OpenMetrics, model.Limits{}); err != nil {
		t.Errorf("Decode without the last newline = %v", err)
	}
}

func TestNegotiate(t *testing.T) {
	const text, open = "text/plain; version=0.0.4; charset=utf-8; escaping=", "application/openmetrics-text; version="
	for accept, want := range map[string]string{
		"":                             text + "underscores",
		"*/*":                          text + "underscores",
		"text/html":                    text + "underscores",
		"application/openmetrics-text": open + "0.0.1; charset=utf-8; escaping=underscores",
		"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4":                                                             open + "1.0.0; charset=utf-8; escaping=underscores",
		"application/openmetrics-text;version=1.0.0;q=0.4,text/plain;q=0.5":                                                             text + "underscores",
		"application/openmetrics-text;version=2.0.0,text/plain;version=0.0.4;q=0.1":                                                     text + "underscores",
		"application/openmetrics-text;version=1.0.0;q=0":                                                                                text + "underscores",
		"application/vnd.google.protobuf;proto=x;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.1": open + "1.0.0; charset=utf-8; escaping=allow-utf-8",
		"text/plain;version=0.0.4;escaping=allow-utf-8":                                                                                 text + "allow-utf-8",
		"text/plain;version=0.0.4;escaping=values":                                                                                      text + "underscores",
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4":                                            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
		"text/plain;q=x": text + "underscores",
	} {
		d, got := Negotiate(accept)
		if got != want || (d == model.OpenMetrics) != strings.HasPrefix(want, open) || Quotes(got) != strings.Contains(want, "allow") {
			t.Errorf("Negotiate(%q) = %v, %q; want %q", accept, d, got, want)
		}
	}
}

func TestContentTypeOfADialectThatIsNotPreferred(t *testing.T) {
	// What Prometheus 3 asks for.
	const both = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
	for _, tt := range []struct {
		accept string
		d      model.Dialect
		want   string
	}{
		{both, model.Text, "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"},
		{both, model.OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"},
		{"text/plain;escaping=allow-utf-8", model.OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"},
		{"application/openmetrics-text;escaping=allow-utf-8", model.Text, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"},
		{"", model.Text, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"},
	} {
		if got := ContentType(tt.accept, tt.d); got != tt.want {
			t.Errorf("ContentType(%q, %v) = %q; want %q", tt.accept, tt.d, got, tt.want)
		}
	}
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		contentType, body string
		want              model.Dialect
	}{
		{"application/openmetrics-text; version=1.0.0", "", model.OpenMetrics},
		{"text/plain; version=0.0.4; charset=utf-8", "a 1\n# EOF\n", model.Text},
		{"text/plain", "a 1\n# EOF\n", model.OpenMetrics},
		{"", "# EOF", model.OpenMetrics},
		{"", "a 1\n", model.Text},
	} {
		if got := Detect(c.contentType, []byte(c.body)); got != c.want {
			t.Errorf("Detect(%q, %q) = %v; want %v", c.contentType, c.body, got, c.want)
		}
	}
}
