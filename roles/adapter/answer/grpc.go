package answer

import (
	"encoding/binary"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
)

// GRPCPath is the prefix of what GRPC answers.
const GRPCPath = "/grpc.health.v1.Health/"

// Statuses of grpc.health.v1 and codes of gRPC.
const (
	serving        = 1
	notServing     = 2
	serviceUnknown = 3

	codeOK            = 0
	codeInvalid       = 3
	codeNotFound      = 5
	codeUnimplemented = 12
	codeUnavailable   = 14
)

// maxRequest bounds a request, which is the name of a service.
const maxRequest = 4 << 10

// GRPC answers grpc.health.v1 Check, List and Watch. The service "" is readiness; live, ready, startup, other groups and checks are services
// by their names.
func (h *Handler) GRPC() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Method != http.MethodPost {
			http.Error(w, "gRPC only", http.StatusUnsupportedMediaType)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		service, ok := readRequest(r.Body)
		if !ok {
			end(w, codeInvalid, "cannot read the request")
			return
		}
		switch r.URL.Path {
		case GRPCPath + "Check":
			h.check(w, service)
		case GRPCPath + "Watch":
			h.watch(w, r, service)
		case GRPCPath + "List":
			h.list(w)
		default:
			end(w, codeUnimplemented, "unknown method")
		}
	})
}

func end(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(http.StatusOK)
	w.Header().Set("Grpc-Status", strconv.Itoa(code))
	if message != "" {
		w.Header().Set("Grpc-Message", message)
	}
}

// readRequest returns the name of the service. A message is one byte of flags, four of its length, and fields.
func readRequest(r io.Reader) (service string, ok bool) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || head[0] != 0 {
		return "", false
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > maxRequest {
		return "", false
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return "", false
	}
	err := proto.Each(data, func(field int, _ uint64, value []byte) error {
		if field == 1 {
			service = string(value)
		}
		return nil
	})
	return service, err == nil
}

func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...) //nolint:gosec // a few bytes
}

// status is what grpc.health.v1 says of a service.
func (h *Handler) status(service string) int {
	if service == "" {
		service = Ready
	}
	now, known, ok := time.Now(), service == Live || service == Ready || service == Startup, true
	for _, st := range h.board.Load().States() {
		if st.Spec.Name != service && !slices.Contains(st.Spec.Groups, service) {
			continue
		}
		known = true
		well, _ := st.Well(now)
		ok = ok && well
	}
	switch {
	case !known:
		return serviceUnknown
	case service == Startup && h.started.pass(ok), ok:
		return serving
	}
	return notServing
}

func (h *Handler) check(w http.ResponseWriter, service string) {
	s := h.status(service)
	if s == serviceUnknown {
		end(w, codeNotFound, "unknown service")
		return
	}
	_, _ = w.Write(frame(proto.Uint(nil, 1, uint64(s)))) //nolint:gosec // a small number
	end(w, codeOK, "")
}

// list answers with the status of every service: a map, that is messages of a key and a value.
func (h *Handler) list(w http.ResponseWriter) {
	var out []byte
	for _, name := range services(h.board.Load()) {
		s := proto.Uint(nil, 1, uint64(h.status(name))) //nolint:gosec // a small number
		out = proto.Bytes(out, 1, proto.Bytes(proto.Bytes(nil, 1, name), 2, s))
	}
	_, _ = w.Write(frame(out))
	end(w, codeOK, "")
}

func services(b *check.Board) []string {
	names := []string{"", Live, Ready, Startup}
	for _, st := range b.States() {
		for _, name := range append([]string{st.Spec.Name}, st.Spec.Groups...) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// watch tells the status now and at each change, until the client goes, or until Close.
func (h *Handler) watch(w http.ResponseWriter, r *http.Request, service string) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{})
	_ = control.SetReadDeadline(time.Time{})
	tick := time.NewTicker(500 * time.Millisecond) // results grow old without a change
	defer tick.Stop()
	for last := -1; ; {
		changed := h.board.Load().Changed()
		if s := h.status(service); s != last {
			last = s
			if _, err := w.Write(frame(proto.Uint(nil, 1, uint64(s)))); err != nil { //nolint:gosec // a small number
				return
			}
			if control.Flush() != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-h.gone:
			if last == serving {
				_, _ = w.Write(frame(proto.Uint(nil, 1, notServing)))
			}
			w.Header().Set("Grpc-Status", strconv.Itoa(codeUnavailable))
			return
		case <-changed:
		case <-tick.C:
		}
	}
}
