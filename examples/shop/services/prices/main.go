// Prices answers every request with the release that it runs from.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	program, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	directory := filepath.Dir(program)
	http.Handle("/", newHandler(setting("RELEASE", "none"), filepath.Join(directory, "version.txt")))
	listener, err := listen()
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan struct{})
	go stopGracefully(server, stopped)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-stopped
}

// listen takes the socket that systemd has passed as file descriptor 3 (sd_listen_fds(3)), or PORT.
func listen() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) && os.Getenv("LISTEN_FDS") != "" {
		return net.FileListener(os.NewFile(3, "socket"))
	}
	return net.Listen("tcp", ":"+setting("PORT", "8080"))
}

// stopGracefully finishes what was accepted; the passed socket stays open at systemd.
func stopGracefully(server *http.Server, stopped chan<- struct{}) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	<-asked
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		log.Print(err)
	}
	close(stopped)
}

// newHandler remembers the version that it was started with and reads it again for /asset.txt, so
// that a tree that changes under the process would be seen.
func newHandler(release, versionFile string) http.Handler {
	started := version(versionFile)
	routes := http.NewServeMux()
	routes.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	routes.HandleFunc("/asset.txt", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "prices release=%s version=%s\n", release, version(versionFile))
	})
	routes.HandleFunc("/", func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/" {
			http.NotFound(w, request)
			return
		}
		fmt.Fprintf(w, "prices release=%s version=%s\n", release, started)
	})
	return routes
}

func version(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
