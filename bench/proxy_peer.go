package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// duty is what a proxy has to do: one route.
type duty struct {
	scheme   string // https, http, tcp or tls (TLS in, plain TCP out)
	h2, logs bool
	idle     bool // many connections at rest
}

// contender is a proxy that does its duty.
type contender struct {
	name    string
	program string // looked up; the package of Debian is named when it is not there
	debian  string
	argv    func(r *rig, d duty, listen string) ([]string, error)
	*pinned
	addr string
}

func (b *bench) us() *contender {
	return &contender{name: "sidecar", program: b.sidecar, argv: func(r *rig, d duty, listen string) ([]string, error) {
		up := map[string]string{"https": "http", "http": "http", "tcp": "tcp", "tls": "tcp"}[d.scheme]
		options := "?log=off"
		if d.logs {
			options = "?log=all"
		}
		if d.scheme == "https" || d.scheme == "tls" {
			options += "&cert=" + r.dir
		}
		if d.idle && d.scheme == "https" { // by default a connection may need two descriptors, and half of the limit are taken
			options += "&keep-alive=1h&max-conns=12000"
		}
		return []string{r.b.sidecar, "proxy", "--admin", "", "--log-level", "warn", d.scheme + "://" + listen + options + " => " + up + "://" + r.backend}, nil
	}}
}

func nginx() *contender {
	return &contender{name: "nginx", program: "nginx", debian: "nginx-light, libnginx-mod-stream", argv: nginxArgs("")}
}

// nginx64k has buffers that make its copies fewer.
func nginx64k() *contender {
	return &contender{name: "nginx with proxy_buffer_size 64k", program: "nginx", debian: "nginx-light, libnginx-mod-stream", argv: nginxArgs("proxy_buffer_size 64k;")}
}

func haproxy() *contender {
	return &contender{name: "HAProxy", program: "haproxy", debian: "haproxy", argv: haproxyArgs}
}

func hitch() *contender {
	return &contender{name: "hitch", program: "hitch", debian: "hitch", argv: hitchArgs}
}

func stunnel() *contender {
	return &contender{name: "stunnel", program: "stunnel4", debian: "stunnel4", argv: stunnelArgs}
}

func caddy() *contender {
	return &contender{name: "caddy", program: "caddy", debian: "caddy", argv: caddyArgs}
}

// enlist starts those that are there; missing says why others are not compared.
func (r *rig) enlist(d duty, all ...*contender) (here []*contender, missing []string, err error) {
	for i, c := range all {
		if _, err := exec.LookPath(c.program); err != nil {
			missing = append(missing, fmt.Sprintf("%s: not installed (Debian: %s)", c.name, c.debian))
			continue
		}
		c.addr = freeAddr()
		argv, err := c.argv(r, d, c.addr)
		if err == nil {
			c.pinned, err = r.start(fmt.Sprintf("%s-%s-%d", strings.ReplaceAll(c.name, " ", "-"), d.scheme, i), proxyCPU, c.addr, argv...)
		}
		if err != nil && i == 0 {
			return nil, nil, err // ours
		}
		if err != nil {
			missing = append(missing, err.Error())
			continue
		}
		here = append(here, c)
	}
	return here, missing, nil
}

// conf writes the file of a peer.
func (r *rig) conf(name, text string) (string, error) {
	f, err := os.CreateTemp(r.dir, name+"-*.conf")
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return f.Name(), err
}

func nginxArgs(stream string) func(*rig, duty, string) ([]string, error) {
	return func(r *rig, d duty, listen string) ([]string, error) {
		dir, err := os.MkdirTemp(r.dir, "nginx-*")
		if err != nil {
			return nil, err
		}
		head := fmt.Sprintf("user root;\ndaemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid %[1]s/pid;\nerror_log %[1]s/error.log crit;\nevents { worker_connections 19900; }\n", dir)
		tls := fmt.Sprintf("ssl_certificate %[1]s/tls.crt; ssl_certificate_key %[1]s/tls.key; ssl_protocols TLSv1.2 TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_ecdh_curve X25519; ssl_session_tickets on;", r.dir)
		bind := listen + " backlog=4096"
		if d.scheme == "https" || d.scheme == "tls" {
			bind += " ssl"
		} else {
			tls = ""
		}
		if d.h2 {
			bind += " http2"
		}
		var body string
		switch d.scheme {
		case "tcp", "tls":
			head = streamModule() + head
			body = fmt.Sprintf("stream { server { listen %s; %s %s proxy_timeout 1h; proxy_pass %s; } }\n", bind, tls, stream, r.backend)
		default:
			logs := "access_log off;"
			if d.logs {
				logs = "access_log " + dir + "/access.log combined buffer=64k flush=1s;"
			}
			paths := ""
			for _, p := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				paths += fmt.Sprintf("%s_temp_path %s/%s; ", p, dir, p)
			}
			body = fmt.Sprintf(`http { %s %s
 keepalive_requests 100000000; keepalive_timeout 1h; http2_max_requests 100000000; tcp_nodelay on;
 upstream app { server %s; keepalive 128; keepalive_requests 100000000; keepalive_timeout 1h; }
 server { listen %s; server_name bench.local; %s
  location / { proxy_pass http://app; proxy_http_version 1.1; proxy_buffers 16 16k; proxy_buffer_size 16k; proxy_set_header Connection ""; proxy_set_header Host $host;
   proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
   proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Request-Id $request_id; } } }
`, logs, paths, r.backend, bind, tls)
			if !d.h2 {
				body = strings.Replace(body, "http2_max_requests 100000000; ", "", 1)
			}
		}
		file, err := r.conf("nginx", head+body)
		return []string{"nginx", "-p", dir, "-c", file}, err
	}
}

func haproxyArgs(r *rig, d duty, listen string) ([]string, error) {
	bind := listen + " backlog 4096"
	if d.scheme == "https" || d.scheme == "tls" {
		bind += " ssl crt " + filepath.Join(r.dir, "both.pem")
	}
	if d.h2 {
		bind += " alpn h2,http/1.1"
	}
	text := `global
  nbthread 1
  maxconn 6000
  tune.pipesize 1048576
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-bind-curves X25519
  ssl-default-bind-options ssl-min-ver TLSv1.2
`
	if d.logs {
		text += "  log stdout len 4096 format raw local0\n"
	}
	text += "defaults\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
	if d.logs {
		text += "  log global\n"
	}
	if strings.HasPrefix(d.scheme, "http") {
		text += "  mode http\n  option http-keep-alive\n  http-reuse always\n"
		if d.logs {
			text += "  option httplog\n"
		}
		text += fmt.Sprintf(`frontend f
  bind %s
  unique-id-format %%{+X}o\ %%ci:%%cp_%%fi:%%fp_%%Ts_%%rt:%%pid
  unique-id-header X-Request-Id
  option forwardfor
  http-request set-header X-Real-IP %%[src]
  http-request set-header X-Forwarded-Proto %s
  http-request set-header X-Forwarded-Host %%[req.hdr(Host)]
  http-request set-header X-Forwarded-Port %%[dst_port]
  default_backend app
backend app
  server app %s pool-max-conn 128
`, bind, d.scheme, r.backend)
	} else {
		text += fmt.Sprintf("  mode tcp\n  option splice-request\n  option splice-response\nfrontend f\n  bind %s\n  default_backend app\nbackend app\n  server app %s\n", bind, r.backend)
	}
	file, err := r.conf("haproxy", text)
	return []string{"haproxy", "-db", "-f", file}, err
}

func hitchArgs(r *rig, _ duty, listen string) ([]string, error) {
	file, err := r.conf("hitch", fmt.Sprintf("frontend = \"[%s]:%s\"\nbackend = \"[%s]:%s\"\npem-file = \"%s/both.pem\"\nworkers = 1\nbacklog = 4096\ndaemon = off\nuser = \"nobody\"\nciphersuites = \"TLS_AES_128_GCM_SHA256\"\ntls-protos = TLSv1.2 TLSv1.3\necdh-curve = \"X25519\"\nlog-level = 0\n",
		host(listen), port(listen), host(r.backend), port(r.backend), r.dir))
	return []string{"hitch", "--config=" + file}, err
}

func stunnelArgs(r *rig, _ duty, listen string) ([]string, error) {
	file, err := r.conf("stunnel", fmt.Sprintf("foreground = yes\npid =\ndebug = 3\nsyslog = no\n[app]\naccept = %s\nconnect = %s\ncert = %s/both.pem\nciphersuites = TLS_AES_128_GCM_SHA256\ncurves = X25519\nsslVersionMin = TLSv1.2\n", listen, r.backend, r.dir))
	return []string{"stunnel4", file}, err
}

func caddyArgs(r *rig, d duty, listen string) ([]string, error) {
	logs := ""
	if d.logs {
		logs = " log {\n output file " + r.dir + "/caddy.log\n }\n"
	}
	file, err := r.conf("caddy", fmt.Sprintf("{\n admin off\n auto_https disable_redirects\n log {\n  level ERROR\n }\n}\nhttps://:%s {\n bind %s\n tls %s/tls.crt %s/tls.key {\n  curves x25519\n }\n%s reverse_proxy %s {\n  header_up X-Real-IP {remote_host}\n  header_up X-Forwarded-Port %s\n  header_up X-Request-Id {http.request.uuid}\n  transport http {\n   keepalive_idle_conns 128\n   keepalive_idle_conns_per_host 128\n  }\n }\n}\n",
		port(listen), host(listen), r.dir, r.dir, logs, r.backend, port(listen)))
	return []string{"caddy", "run", "--config", file, "--adapter", "caddyfile"}, err
}

func host(addr string) string { h, _, _ := strings.Cut(addr, ":"); return h }
func port(addr string) string { _, p, _ := strings.Cut(addr, ":"); return p }
