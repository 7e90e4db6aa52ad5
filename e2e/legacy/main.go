// Command legacy is an application that speaks plain HTTP on localhost and knows nothing of proxies. It says what it was
// asked, and goes on for a while after SIGTERM, as applications with work at hand do.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/websocket"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where to serve")
	linger := flag.Duration("linger", 0, "how long to go on after SIGTERM")
	deaf := flag.Bool("deaf", false, "close the port at SIGTERM, not at the end")
	outbound := flag.String("outbound", "", "connect to this address all the time; what is sent there comes back")
	echo := flag.String("echo", "", "send back what comes to this address")
	flag.Parse()
	if *echo != "" {
		go answer(*echo)
	}
	if err := run(*listen, *outbound, *linger, *deaf); err != nil {
		log.Fatal(err)
	}
}

func run(listen, outbound string, linger time.Duration, deaf bool) error {
	term, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler()}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	end, finish := context.WithCancel(context.Background())
	defer finish()
	calls := make(chan error, 1)
	go func() { calls <- call(end, outbound) }()
	<-term.Done()
	if deaf {
		err = errors.Join(err, server.Shutdown(context.Background()))
	}
	time.Sleep(linger)
	finish()
	err = errors.Join(err, <-calls)
	if !deaf {
		err = errors.Join(err, server.Shutdown(context.Background()))
	}
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// call opens connections until the end and fails if one of them failed.
func call(ctx context.Context, address string) error {
	if address == "" {
		return nil
	}
	var good, bad int
	var last error
	// In a classic pod nobody says when the proxy is up.
	for until := time.Now().Add(time.Minute); once(address) != nil && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	for ctx.Err() == nil {
		if err := once(address); err != nil {
			bad, last = bad+1, err
			log.Print("outbound: ", err)
		} else {
			good++
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("outbound: %d good, %d failed\n", good, bad)
	return last
}

func once(address string) error {
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	word := []byte("what was sent\n")
	back := make([]byte, len(word))
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write(word); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, back); err != nil || string(back) != string(word) {
		return fmt.Errorf("%q came back: %w", back, err)
	}
	return nil
}

func answer(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// said is what the application tells about a request.
type said struct {
	Method, URI, Proto, Host string
	Header                   http.Header
	Body                     int64
}

func handler() http.Handler {
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		_ = json.NewEncoder(w).Encode(said{r.Method, r.RequestURI, r.Proto, r.Host, r.Header, n})
	})
	mux.HandleFunc("/ws", websocket.Echo)
	mux.HandleFunc("/asked", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, asked.Load()) })
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(make([]byte, n))
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(300 * time.Millisecond)
		}
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	})
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/where", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://"+r.Host+"/there") // it does not know of https
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/cookie", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: strconv.Itoa(os.Getpid()), Secure: r.Header.Get("X-Forwarded-Proto") == "https", HttpOnly: true})
	})
	return mux
}

// page shows what a browser got over the route: the protocol, a fetch, a WebSocket and events.
const page = `<!doctype html><title>legacy</title><pre id="out"></pre><script>
const out = document.getElementById("out"), say = (line) => { out.textContent += line + "\n" };
const nav = performance.getEntriesByType("navigation")[0];
say("page by " + nav.nextHopProtocol);
fetch("/api?q=1").then(r => r.json()).then(j => say("told " + j.Header["X-Forwarded-Proto"] + " " + j.Header["X-Forwarded-Host"]));
const ws = new WebSocket("wss://" + location.host + "/ws");
ws.onopen = () => ws.send("through the proxy");
ws.onmessage = (m) => { say("socket says " + m.data); ws.close() };
ws.onclose = (e) => say("socket closed " + e.code);
const events = new EventSource("/events"); let n = 0;
events.onmessage = () => { if (++n == 3) { events.close(); say("3 events") } };
</script>`
