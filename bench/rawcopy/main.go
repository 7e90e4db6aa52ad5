// Command rawcopy answers every request with what another address says, byte by byte: the least that a program in front of an application can do.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where to listen")
	from := flag.String("from", "", "what is fetched")
	flag.Parse()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second}, Timeout: 10 * time.Second}
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, *from, nil)
		if err == nil {
			err = pass(client, req, w)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	os.Exit(1)
}

func pass(client *http.Client, req *http.Request, w http.ResponseWriter) error {
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body) // whoever went away is told nothing
	return nil
}
