package outputs

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/elastic"
	"github.com/sidecar-kit/sidecar/roles/logship/out/file"
	"github.com/sidecar-kit/sidecar/roles/logship/out/forward"
	"github.com/sidecar-kit/sidecar/roles/logship/out/kafka"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
	"github.com/sidecar-kit/sidecar/roles/logship/out/loki"
	"github.com/sidecar-kit/sidecar/roles/logship/out/otlp"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
	"github.com/sidecar-kit/sidecar/roles/logship/out/post"
	"github.com/sidecar-kit/sidecar/roles/logship/out/s3"
	"github.com/sidecar-kit/sidecar/roles/logship/out/stdout"
	"github.com/sidecar-kit/sidecar/roles/logship/out/syslog"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
)

// check finds what is wrong between options.
func (s *Spec) check() error {
	o, a := &s.o, &s.o.address
	var errs []error
	if a.user != "" && o.user != "" && a.user != o.user {
		errs = append(errs, errors.New("the user is given in the address and as an option"))
	}
	if o.user == "" {
		o.user = a.user
	}
	password := o.passwordFile != "" || o.passwordEnv != ""
	if (o.user != "") != password {
		errs = append(errs, errors.New("a user needs a password, and a password a user\nhint: username=NAME and password-file=FILE"))
	}
	ways := 0
	for _, pair := range [][2]string{{o.passwordFile, o.passwordEnv}, {o.tokenFile, o.tokenEnv}, {o.apiKeyFile, o.apiKeyEnv}} { // at most one of them
		if pair[0] != "" && pair[1] != "" {
			errs = append(errs, errors.New("a secret is given by a file and by an environment variable\nhint: leave out one of them"))
		}
		if pair[0] != "" || pair[1] != "" {
			ways++
		}
	}
	if ways > 1 {
		errs = append(errs, errors.New("more than one way to log in: password, token or API key\nhint: leave out the others"))
	}
	if !a.secure && (len(o.ca)+len(o.cert)+len(o.key) > 0 || o.serverName != "") {
		errs = append(errs, fmt.Errorf("certificates are given, and the connection is not encrypted\nhint: %s+%s://", s.Kind, s.kind().word))
	}
	if s.Backoff.Min == firstPause {
		s.Backoff.Min = min(firstPause, s.Backoff.Max) // who gives the longest alone means the first one, too
	}
	if s.Backoff.Min > s.Backoff.Max {
		errs = append(errs, fmt.Errorf("backoff-min %s is more than backoff-max %s", s.Backoff.Min, s.Backoff.Max))
	}
	errs = append(errs, s.checkKind())
	return errors.Join(errs...)
}

func (s *Spec) kind() kind {
	k, _ := kindOf(s.Kind)
	return k
}

// checkKind finds what is wrong for the kind alone, and fills in what the path of the address says.
func (s *Spec) checkKind() error {
	o, a := &s.o, &s.o.address
	if s.Kind == "elasticsearch" || s.Kind == "opensearch" {
		front, last := "", strings.TrimPrefix(a.path, "/")
		if i := strings.LastIndexByte(last, '/'); i >= 0 {
			front, last = "/"+last[:i], last[i+1:]
		}
		switch {
		case o.index == "":
			o.index, a.path = last, front
		case last != "":
			return errors.New("the index is given as an option, and the path of the address ends in a name, too\nhint: end the path with a slash")
		default:
			a.path = strings.TrimSuffix(a.path, "/")
		}
		if !o.setup && (o.template != "" || o.retention > 0 || o.shards > 0 || o.replicas >= 0) {
			return errors.New("what setup would write is given, and it is off\nhint: setup=true")
		}
	}
	switch s.Kind {
	case "kafka":
		path := strings.TrimPrefix(a.path, "/")
		if o.topic != "" && path != "" {
			return errors.New("the topic is given as an option and in the address")
		}
		o.topic += path
		if o.sasl != "" && o.user == "" {
			return errors.New("sasl needs a user\nhint: username=NAME and password-file=FILE")
		}
	case "s3":
		path := strings.TrimPrefix(a.path, "/")
		if o.objectKey != "" && path != "" {
			return errors.New("the beginning of the name is given as an option and in the address")
		}
		if o.objectKey += path; o.objectKey == "" {
			o.objectKey = "%{input}/%Y/%m/%d/%H"
		}
	case "http":
		if o.array && o.format != plain.JSON {
			return errors.New("an array is of documents\nhint: leave out the format")
		}
	case "forward", "syslog":
		if strings.Trim(a.path, "/") != "" {
			return fmt.Errorf("%s has no paths, and %q is given", s.Kind, a.path)
		}
	}
	return nil
}

// New makes the output. It reads secrets and certificates, and connects to nobody.
func (s Spec) New(env Env) (out.Sink, error) {
	sink, err := s.make(env)
	if err != nil {
		return nil, fmt.Errorf("%s: output %s: %w", s.Place, s.Name, err)
	}
	return sink, nil
}

func (s Spec) make(env Env) (out.Sink, error) {
	switch s.Kind {
	case "stdout":
		return stdout.New(env.Stdout, s.o.format), nil
	case "file":
		return file.New(file.Config{Path: s.o.address.path, Format: s.o.format, MaxSize: s.o.maxSize, Keep: s.o.keep, NoSync: s.o.noSync})
	}
	w, err := s.web(env)
	if err != nil {
		return nil, err
	}
	switch s.Kind {
	case "elasticsearch", "opensearch":
		o := elastic.Config{Web: w, Index: s.o.index, Op: s.o.op, Pipeline: s.o.pipeline}
		if s.o.setup {
			o.Setup = &elastic.Setup{
				Name: s.o.template, Stream: s.o.setupKind == "stream", Keep: s.o.retention, Shards: s.o.shards, Replicas: s.o.replicas,
			}
		}
		return elastic.New(o)
	case "loki":
		return loki.New(loki.Config{Web: w, Labels: s.o.labels, Metadata: s.o.metadata, Tenant: s.o.tenant, Document: !s.o.text})
	case "otlp":
		resource := s.o.resource
		if s.o.service != "" {
			resource = append([][2]string{{"service.name", s.o.service}}, resource...)
		}
		path := ""
		if strings.Contains(strings.Trim(s.o.address.path, "/"), "v1/logs") {
			path, s.o.address.path = s.o.address.path, ""
			for _, t := range w.Targets {
				t.Path = ""
			}
		}
		return otlp.New(otlp.Config{Web: w, Path: path, Resource: resource, Scope: "sidecar logship"})
	case "http":
		return post.New(post.Config{Web: w, Method: s.o.method, Array: s.o.array, Format: s.o.format, Type: s.o.contentType})
	}
	return s.makeMessages(env, w)
}

// makeMessages makes what speaks other protocols, and S3.
func (s Spec) makeMessages(env Env, w web.Config) (out.Sink, error) {
	o := &s.o
	host := o.hostname
	if host == "" {
		host = env.Host
	}
	switch s.Kind {
	case "syslog":
		return syslog.New(syslog.Config{
			Hosts: o.address.hosts, TLS: s.tls(), Facility: o.facility, Hostname: host, App: o.app, MsgID: o.msgID, SD: o.sdID,
			Document: !o.text, Confirm: o.confirm, Log: env.Log,
		})
	case "forward":
		shared, err := resolve(o.sharedFile, o.sharedEnv, env)
		if err != nil {
			return nil, err
		}
		return forward.New(forward.Config{
			Hosts: o.address.hosts, TLS: s.tls(), Tag: o.tag, Shared: shared, User: o.user, Password: w.Auth.Password, PlainOK: o.insecure,
			Hostname: host, Gzip: w.Gzip, Log: env.Log,
		})
	case "kafka":
		return kafka.New(kafka.Config{
			Hosts: o.address.hosts, TLS: s.tls(), Topic: o.topic, Key: o.recordKey, Codec: o.codec, Mechanism: o.sasl, User: o.user,
			Password: w.Auth.Password, PlainOK: o.insecure, Format: o.format, ClientID: "sidecar", Log: env.Log,
		})
	case "s3":
		c := s3.Config{
			Web: w, Endpoint: o.endpoint, Region: o.region, Bucket: o.address.hosts[0], Key: o.objectKey, Gzip: w.Gzip, Format: o.format, Class: o.class,
		}
		var errs [3]error
		c.ID, errs[0] = resolve(o.accessFile, o.accessEnv, env)
		c.Secret, errs[1] = resolve(o.secretFile, o.secretEnv, env)
		c.Token, errs[2] = resolve(o.sessionFile, o.sessionEnv, env)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
		return s3.New(c)
	}
	return nil, fmt.Errorf("the kind %s cannot be made", s.Kind)
}

// web is what all kinds have that send requests to web servers.
func (s Spec) web(env Env) (web.Config, error) {
	o := &s.o
	c := web.Config{
		TLS: s.tls(), Header: o.headers, Private: o.private(), UserAgent: env.UserAgent, Conns: s.InFlight, Log: env.Log, Gzip: o.gzip,
	}
	scheme := "http"
	if o.address.secure {
		scheme = "https"
	}
	for _, host := range o.address.hosts {
		h, port, _ := net.SplitHostPort(host)
		if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
			host = h // as everybody writes it, also in the header Host
			if strings.Contains(h, ":") {
				host = "[" + h + "]"
			}
		}
		c.Targets = append(c.Targets, &url.URL{Scheme: scheme, Host: host, Path: o.address.path, RawQuery: o.address.query})
	}
	var errs [3]error
	c.Auth = web.Auth{User: o.user, PlainOK: o.insecure}
	c.Auth.Password, errs[0] = resolve(o.passwordFile, o.passwordEnv, env)
	c.Auth.Bearer, errs[1] = resolve(o.tokenFile, o.tokenEnv, env)
	c.Auth.APIKey, errs[2] = resolve(o.apiKeyFile, o.apiKeyEnv, env)
	return c, errors.Join(errs[:]...)
}

func (s Spec) tls() link.TLS {
	o := &s.o
	return link.TLS{On: o.address.secure, CA: o.ca, Cert: o.cert, Key: o.key, ServerName: o.serverName, Insecure: o.insecure && o.address.secure}
}

// resolve finds a secret. It is not needed that a file is there yet.
func resolve(file, name string, env Env) (*link.Secret, error) {
	if name == "" {
		return &link.Secret{File: file}, nil
	}
	text, ok := "", false
	if env.Lookup != nil {
		text, ok = env.Lookup(name)
	}
	if !ok || text == "" {
		return nil, fmt.Errorf("the environment variable %s, which a secret is to be in, is not set or empty", name)
	}
	return &link.Secret{Fixed: secret.New(text)}, nil
}
