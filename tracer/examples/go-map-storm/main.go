// Command go-map-storm is a small HTTP service whose hot path asks for maps: in five variants, of which the first makes the
// garbage collector run all the time and the other four are the known remedies. Nothing in it knows that it is traced.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof" // A service has it in most cases; without it the runtime keeps no heap profile.
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
)

// service answers GET /items, a page of the catalogue each time.
type service struct {
	catalogue *catalogue
	summarize summarizer
	requests  uint64
	stats     *statsReader
}

// hello is the first line on stdout: whoever started the service learns where it is.
type hello struct {
	Pid     int    `json:"pid"`
	Port    int    `json:"port"`
	Variant string `json:"variant"`
}

func main() {
	variant := flag.String("variant", "baseline", "how maps are returned: "+strings.Join(variantNames(), ", "))
	items := flag.Int("items", defaultItems, "items in the catalogue, which stay on the heap")
	filled := flag.Int("filled", defaultFilled, "one item in so many has attributes, labels or discounts at all")
	address := flag.String("listen", "127.0.0.1:0", "address to listen on; port 0 is any free one")
	flag.Parse()
	if err := serve(*variant, *items, *filled, *address); err != nil {
		fmt.Fprintln(os.Stderr, "go-map-storm:", err)
		os.Exit(1)
	}
}

func serve(variant string, items, filled int, address string) error {
	build, known := variants[variant]
	if !known {
		return fmt.Errorf("there is no variant %q; take one of %s", variant, strings.Join(variantNames(), ", "))
	}
	catalogue, err := newCatalogue(items, filled)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; take another by -listen", address, err)
	}
	s := &service{catalogue: catalogue, summarize: build(catalogue), stats: newStatsReader()}
	http.HandleFunc("/items", s.items)
	http.HandleFunc("/stats", s.statsPage)
	if err := json.NewEncoder(os.Stdout).Encode(hello{os.Getpid(), port(listener), variant}); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(listener, nil) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	select {
	case err := <-failed:
		return err
	case <-stop:
		return json.NewEncoder(os.Stdout).Encode(s.stats.read(s.served(), 0, true))
	}
}

func port(listener net.Listener) int {
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		return tcp.Port
	}
	return 0
}

// items answers with what the next page of the catalogue comes to. The pages follow each other, whoever asks: the work does
// not depend on the tool that makes the load.
func (s *service) items(w http.ResponseWriter, _ *http.Request) {
	number := atomic.AddUint64(&s.requests, 1) - 1
	summary := s.summarize(s.catalogue.page(number))
	w.Header().Set("Content-Type", "application/json")
	// Who has gone away meanwhile misses nothing.
	_ = json.NewEncoder(w).Encode(summary)
}

func (s *service) served() uint64 {
	return atomic.LoadUint64(&s.requests)
}
