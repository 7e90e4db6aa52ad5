package probe

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// options are the NAME=VALUE pairs of a fragment. A scheme takes the ones it
// knows; what nobody took is unknown. Complaints are collected.
type options struct {
	values map[string][]string
	order  []string
	taken  []string
	errs   []error
}

// optionName is what an option may be called. Anything else is not repeated in
// an error: it may be the end of a password that had a # in it.
var optionName = regexp.MustCompile(`^[A-Za-z][A-Za-z_-]{0,31}$`)

var errFragment = errors.New("what follows # is not NAME=VALUE\n" +
	"hint: join options by &, as in #status=200&body=ok; inside of a value or a password write %23 for #, %26 for & and %25 for %")

// parseOptions reads a fragment. A plus is a plus; %XX is a byte.
func parseOptions(fragment string) (*options, error) {
	o := &options{values: map[string][]string{}}
	for pair := range strings.SplitSeq(fragment, "&") {
		if pair == "" {
			continue
		}
		name, value, has := strings.Cut(pair, "=")
		value, err := url.PathUnescape(value)
		if err != nil || !optionName.MatchString(name) {
			return nil, errFragment
		}
		if !has {
			value = "true" // a flag: #insecure
		}
		if o.values[name] == nil {
			o.order = append(o.order, name)
		}
		o.values[name] = append(o.values[name], value)
	}
	return o, nil
}

func (o *options) complain(name, value, want string) {
	o.errs = append(o.errs, fmt.Errorf("option %s: %q: want %s", name, value, want))
}

// list takes an option that may be repeated.
func (o *options) list(name string) []string {
	o.taken = append(o.taken, name)
	return o.values[name]
}

// text takes an option that is given at most once.
func (o *options) text(name string) (string, bool) {
	values := o.list(name)
	if len(values) == 0 {
		return "", false
	}
	if len(values) > 1 {
		o.errs = append(o.errs, fmt.Errorf("option %s is given %d times, want it once", name, len(values)))
	}
	if values[0] == "" {
		o.complain(name, "", "a value")
	}
	return values[0], true
}

func (o *options) word(name, def string, words ...string) string {
	value, ok := o.text(name)
	if !ok {
		return def
	}
	if !slices.Contains(words, value) {
		o.complain(name, value, "one of "+strings.Join(words, ", "))
	}
	return value
}

func (o *options) flag(name string) bool {
	value, ok := o.text(name)
	on, err := strconv.ParseBool(value)
	if ok && err != nil {
		o.complain(name, value, "true or false, or nothing for true")
	}
	return ok && on
}

func (o *options) duration(name string) time.Duration {
	value, ok := o.text(name)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		o.complain(name, value, "a duration such as 500ms, 10s or 168h")
	}
	return d
}

func (o *options) number(name string, def int64) int64 {
	value, ok := o.text(name)
	if !ok {
		return def
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		o.complain(name, value, "a whole number, not negative")
	}
	return n
}

// pattern takes a regular expression; nil when it is not given.
func (o *options) pattern(name string) *regexp.Regexp {
	value, ok := o.text(name)
	if !ok {
		return nil
	}
	return o.compile(name, value)
}

func (o *options) compile(name, value string) *regexp.Regexp {
	re, err := regexp.Compile(value)
	if err != nil {
		o.complain(name, value, "a regular expression (RE2): "+err.Error())
	}
	return re
}

// together complains when options exclude each other.
func (o *options) together(names ...string) {
	var given []string
	for _, n := range names {
		if len(o.values[n]) > 0 {
			given = append(given, n)
		}
	}
	if len(given) > 1 {
		o.errs = append(o.errs, fmt.Errorf("options %s exclude each other", strings.Join(given, " and ")))
	}
}

// done returns all complaints, those about unknown options first.
func (o *options) done(scheme string) error {
	var unknown []error
	for _, name := range o.order {
		if !slices.Contains(o.taken, name) {
			unknown = append(unknown, fmt.Errorf("%s has no option %s%s", scheme, name, suggest.DidYouMean("", name, o.taken)))
		}
	}
	err := errors.Join(append(unknown, o.errs...)...)
	switch {
	case err == nil || len(unknown) == 0:
		return err
	case len(o.taken) == 0:
		return fmt.Errorf("%w\nhint: %s takes no options", err, scheme)
	}
	return fmt.Errorf("%w\nhint: %s takes %s", err, scheme, strings.Join(o.taken, ", "))
}
