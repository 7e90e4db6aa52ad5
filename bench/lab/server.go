package lab

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// Server is a running gitserver.
type Server struct {
	URL   string
	stats string
	cmd   *exec.Cmd
}

// ServerStats mirrors what gitserver answers.
type ServerStats struct {
	BytesSent, Requests, UploadPack int64
	CPUSeconds                      float64
}

// StartServer runs the gitserver program over root on a port the system chooses.
func StartServer(program, root string, args ...string) (*Server, error) {
	cmd := exec.Command(program, append([]string{"-root", root}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, fmt.Errorf("gitserver said no address: %w", err)
	}
	url, stats, _ := strings.Cut(strings.TrimSpace(line), " ")
	return &Server{URL: url, stats: stats, cmd: cmd}, nil
}

// Stats asks the server what it has sent so far.
func (s *Server) Stats() (ServerStats, error) {
	var st ServerStats
	resp, err := http.Get(s.stats)
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	return st, json.NewDecoder(resp.Body).Decode(&st)
}

// Close ends the server.
func (s *Server) Close() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}
