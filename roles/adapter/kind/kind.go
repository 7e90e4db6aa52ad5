// Package kind makes checks of what the configuration says: of the addresses that sidecar probe takes, programs, metrics of a
// source, answers of an application, and databases.
package kind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/probe"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
)

// Env is what checks need of the others.
type Env struct {
	Sources []string
	Fetch   func(ctx context.Context, source string) source.Result
}

// maker reads what stands under the name of a kind.
type maker func(v draft.Value, e *Env, s *check.Spec) error

// kinds are the makers by their key.
func kinds() map[string]maker {
	m := map[string]maker{
		"probe": makeProbe, "http": makeHTTP, "exec": makeExec, "metric": makeMetric, "process": makeProcess,
		"mysql": makeMySQL, "postgres": makePostgres, "redis": makeRedis,
	}
	for _, scheme := range []string{"tcp", "tls", "grpc", "grpcs", "dns", "file", "unix"} {
		m[scheme] = func(v draft.Value, _ *Env, s *check.Spec) error { return makeAddress(scheme, v, s) }
	}
	return m
}

// Kinds lists the keys of kinds.
func Kinds() []string {
	var all []string
	for name := range kinds() {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func common() []string { return []string{"every", "timeout", "max-age", "rise", "fall", "groups"} }

// Parse reads a check. The error has all complaints.
func Parse(name string, v draft.Value, e *Env) (*check.Spec, error) {
	s := &check.Spec{Name: name, Every: 10 * time.Second, Timeout: time.Second, Rise: 1, Fall: 1, Groups: []string{"ready"}}
	all := kinds()
	known := slices.Concat(common(), Kinds())
	found := 0
	err := v.Each(known, func(key string, v draft.Value) error {
		if make := all[key]; make != nil {
			found++
			s.Kind = key
			return make(v, e, s)
		}
		return setCommon(key, v, s)
	})
	if !plain(name) {
		err = errors.Join(err, fmt.Errorf("%s: check %q: want a name of letters, digits, - and _", v.Place, name))
	}
	if found != 1 {
		err = errors.Join(err, v.Errorf("check %s: want one of %s", name, strings.Join(Kinds(), ", ")))
	}
	if s.MaxAge == 0 {
		s.MaxAge = 3*s.Every + s.Timeout
	}
	if s.MaxAge < s.Every+s.Timeout {
		err = errors.Join(err, v.Errorf("check %s: max-age %s is less than every and timeout together, so that it would fail between two looks", name, s.MaxAge))
	}
	return s, err
}

func plain(name string) bool {
	for _, r := range name {
		if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return name != ""
}

func setCommon(key string, v draft.Value, s *check.Spec) error {
	switch key {
	case "every":
		return v.Duration(&s.Every, 100*time.Millisecond, 24*time.Hour)
	case "timeout":
		return v.Duration(&s.Timeout, time.Millisecond, 10*time.Minute)
	case "max-age":
		return v.Duration(&s.MaxAge, 100*time.Millisecond, 7*24*time.Hour)
	case "rise":
		return v.Int(&s.Rise, 1, 1000)
	case "fall":
		return v.Int(&s.Fall, 1, 1000)
	}
	s.Groups = nil
	err := v.Words(&s.Groups)
	for _, g := range s.Groups {
		if !plain(g) {
			err = errors.Join(err, v.Errorf("group %q: want a name of letters, digits, - and _", g))
		}
		near := suggest.Closest(g, []string{"live", "ready", "startup"})
		if near != "" && near != g && slices.Contains([]string{"livez", "readyz", "startupz", "liveness", "readiness"}, g) {
			err = errors.Join(err, v.Errorf("group %q: did you mean %s?", g, near))
		}
	}
	return err
}

// makeProbe takes an address of sidecar probe as it is.
func makeProbe(v draft.Value, _ *Env, s *check.Spec) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	return useProbe(text, v, s)
}

func useProbe(address string, v draft.Value, s *check.Spec) error {
	c, err := probe.Parse(address)
	if err != nil {
		return v.Errorf("%w", err)
	}
	s.Target = c.String()
	s.Remote = !strings.HasPrefix(address, "file:") && !strings.HasPrefix(address, "pid:") && !strings.Contains(address, "//127.") && !strings.Contains(address, "//localhost")
	s.Do = func(ctx context.Context) check.Result {
		r := c.Do(ctx)
		return check.Result{OK: r.OK, Detail: r.Detail}
	}
	return nil
}

// makeAddress reads {address: ..., OPTION: VALUE}, or the address alone; the options are those of sidecar probe.
func makeAddress(scheme string, v draft.Value, s *check.Spec) error {
	main := map[string]string{"dns": "name", "file": "path", "unix": "path"}[scheme]
	if main == "" {
		main = "address"
	}
	if v.Shape == draft.Word {
		return useProbe(addressOf(scheme, v.Text), v, s)
	}
	address := ""
	var options []string
	err := v.All(func(key string, v draft.Value) error {
		if key == main {
			return v.Word(&address)
		}
		return v.Each1(func(item draft.Value) error {
			text := strings.NewReplacer("%", "%25", "&", "%26", "#", "%23").Replace(item.Text)
			options = append(options, strings.ReplaceAll(key, "_", "-")+"="+text)
			return nil
		})
	})
	if err != nil {
		return err
	}
	if address == "" {
		return v.Errorf("want %s", main)
	}
	address = addressOf(scheme, address)
	if len(options) > 0 {
		address += "#" + strings.Join(options, "&")
	}
	return useProbe(address, v, s)
}

func addressOf(scheme, text string) string {
	if strings.HasPrefix(text, scheme+"://") {
		return text
	}
	return scheme + "://" + text
}

// makeProcess reads {name: ...}, {pid: ...} or {pid-file: ...}.
func makeProcess(v draft.Value, _ *Env, s *check.Spec) error {
	var name, pid, file string
	err := v.Each([]string{"name", "pid", "pid-file"}, func(key string, v draft.Value) error {
		return v.Word(map[string]*string{"name": &name, "pid": &pid, "pid-file": &file}[key])
	})
	if err != nil {
		return err
	}
	switch {
	case file != "" && pid == "":
		address := "pid://" + file
		if name != "" {
			address += "#name=" + name
		}
		return useProbe(address, v, s)
	case pid != "" && file == "" && name == "":
		return useProbe("pid:"+pid, v, s)
	case name != "" && pid == "":
		return useProbe("pid:name="+name, v, s)
	}
	return v.Errorf("want one of name, pid and pid-file")
}
