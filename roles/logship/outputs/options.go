package outputs

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
)

// settings are the options of all kinds.
type settings struct {
	address    address
	batchBytes int64

	ca, cert, key []string
	serverName    string
	insecure      bool

	user                      string
	passwordFile, passwordEnv string
	tokenFile, tokenEnv       string
	apiKeyFile, apiKeyEnv     string

	gzip    bool
	headers [][2]string

	index, op, pipeline, template, setupKind string
	setup                                    bool
	retention                                time.Duration
	shards, replicas                         int

	labels, metadata, resource [][2]string
	tenant, service            string

	method, contentType string
	array               bool

	tag, sharedFile, sharedEnv string

	topic, recordKey, codec, sasl string

	app, msgID, sdID, hostname string
	facility                   int
	confirm                    bool

	region, objectKey, class string
	endpoint                 *url.URL
	accessFile, accessEnv    string
	secretFile, secretEnv    string
	sessionFile, sessionEnv  string

	format  plain.Format
	text    bool
	maxSize int64
	keep    int
	noSync  bool
}

// Options is the table of all options, in the order of the documentation.
func Options() []Option {
	var all []Option
	for _, r := range rows() {
		all = append(all, Option{Name: r.name, Kinds: strings.Fields(r.kinds), Default: r.def, Usage: r.usage})
	}
	return all
}

func rows() []row {
	return slices.Concat(commonRows(), encryptionRows(), credentialRows(), requestRows(), searchRows(), streamRows(), messageRows(), objectRows(), lineRows())
}

func (r row) takes(kind string) bool {
	return r.kinds == "" || slices.Contains(strings.Fields(r.kinds), kind)
}

// read reads the value of an option.
func (r row) read(s *Spec, v draft.Value) error {
	switch dst := r.at(s).(type) {
	case *string:
		if r.words != "" {
			return v.OneOf(dst, strings.Fields(r.words)...)
		}
		return v.Word(dst)
	case *[]string:
		return v.Words(dst)
	case *bool:
		return v.Bool(dst)
	case *int:
		return v.Int(dst, int(r.low), int(r.high))
	case *int64:
		return v.Size(dst, r.low, r.high)
	case *time.Duration:
		return v.Duration(dst, time.Duration(r.low), time.Duration(r.high))
	case *[][2]string:
		all, err := namesAndValues(v, "=")
		*dst = all
		return err
	case func(draft.Value) error:
		return dst(v)
	}
	return v.Errorf("the option %s cannot be read", r.name)
}

func (s *Spec) readHeaders(v draft.Value) error {
	all, err := namesAndValues(v, ":")
	for _, h := range all {
		if !headerName(h[0]) || strings.ContainsAny(h[1], "\r\n\x00") {
			hint := "NAME:VALUE"
			if strings.EqualFold(h[0], "authorization") {
				hint = "token-file=FILE is for a bearer token, username=NAME and password-file=FILE for a password, api-key-file=FILE for a key of Elasticsearch"
			}
			err = errors.Join(err, v.Errorf("%q is no header that can be given\nhint: %s", h[0], hint))
		}
	}
	s.o.headers = all
	return err
}

func (s *Spec) readFormat(v draft.Value) error {
	words := []string{"json", "text", "raw"}
	var text string
	err := v.OneOf(&text, words...)
	s.o.text = text != "json"
	s.o.format = plain.Format(max(0, slices.Index(words, text))) //nolint:gosec // of three
	return err
}

func (s *Spec) readFacility(v draft.Value) error {
	names := strings.Fields("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console solaris-cron " +
		"local0 local1 local2 local3 local4 local5 local6 local7")
	if at := slices.Index(names, v.Text); at >= 0 {
		s.o.facility = at
		return nil
	}
	if err := v.Int(&s.o.facility, 0, 23); err != nil {
		return v.Errorf("%q is no facility%s\nhint: known are %s", v.Text, suggest.DidYouMean("", v.Text, names), strings.Join(names, ", "))
	}
	return nil
}

func (s *Spec) readEndpoint(v draft.Value) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return v.Errorf("%q is no http or https URL with a host and nothing secret\nhint: http://minio:9000", Show(text))
	}
	s.o.endpoint, s.o.address.secure = u, u.Scheme == "https"
	return nil
}

// namesAndValues reads a mapping, or words with a mark between name and value; in one word, commas are between several.
func namesAndValues(v draft.Value, mark string) ([][2]string, error) {
	var all [][2]string
	if v.Shape == draft.Map {
		err := v.All(func(key string, v draft.Value) error {
			var value string
			err := v.Word(&value)
			all = append(all, [2]string{key, value})
			return err
		})
		return all, err
	}
	one := func(text string, v draft.Value) error {
		name, value, ok := strings.Cut(text, mark)
		switch {
		case !ok && mark == ":" || v.Shape != draft.Word:
			return v.Errorf("want NAME%sVALUE", mark) // the text may be a secret
		case !ok:
			return v.Errorf("%q: want NAME%sVALUE", text, mark)
		}
		all = append(all, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
		return nil
	}
	if v.Shape != draft.Word {
		err := v.Each1(func(v draft.Value) error { return one(v.Text, v) })
		return all, err
	}
	var errs []error
	for text := range strings.SplitSeq(v.Text, ",") {
		errs = append(errs, one(text, v))
	}
	return all, errors.Join(errs...)
}

func headerName(name string) bool {
	switch strings.ToLower(name) {
	case "", "content-length", "content-encoding", "transfer-encoding", "connection", "authorization":
		return false
	}
	return strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
