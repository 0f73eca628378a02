package main

import (
	"encoding/json"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
	"time"
)

// stats is what Go itself says of this process. Counters begin with it; a number that this version of Go does not have is
// null.
type stats struct {
	AtUnixNs          int64     `json:"at_unix_ns"`
	Go                string    `json:"go"`
	Processors        int       `json:"processors"`
	Requests          uint64    `json:"requests"`
	AllocObjects      *uint64   `json:"alloc_objects"`
	AllocBytes        *uint64   `json:"alloc_bytes"`
	FreeObjects       *uint64   `json:"free_objects"`
	FreeBytes         *uint64   `json:"free_bytes"`
	GcCycles          int64     `json:"gc_cycles"`
	GcPauseTotalNs    int64     `json:"gc_pause_total_ns"`
	GcCPUSeconds      *float64  `json:"gc_cpu_seconds"`
	Pauses            []pause   `json:"pauses"`
	Memstats          *memstats `json:"memstats"`
	MemProfileRate    int       `json:"mem_profile_rate"`
	PausesOverwritten int64     `json:"pauses_overwritten"`
}

// pause is what one cycle stopped the program for.
type pause struct {
	Cycle     int64 `json:"cycle"`
	Ns        int64 `json:"ns"`
	EndUnixNs int64 `json:"end_unix_ns"`
}

// memstats is what only runtime.ReadMemStats says. It stops the program and takes the counters of all processors in.
type memstats struct {
	Mallocs       uint64  `json:"mallocs"`
	TotalAlloc    uint64  `json:"total_alloc"`
	Frees         uint64  `json:"frees"`
	HeapObjects   uint64  `json:"heap_objects"`
	HeapAlloc     uint64  `json:"heap_alloc"`
	NumGC         uint32  `json:"num_gc"`
	PauseTotalNs  uint64  `json:"pause_total_ns"`
	GCCPUFraction float64 `json:"gc_cpu_fraction"`
}

// Names of runtime/metrics. Those that share a tiny block are counted on their own there, and in MemStats.Mallocs with the rest.
const (
	allocBytes   = "/gc/heap/allocs:bytes"
	allocObjects = "/gc/heap/allocs:objects"
	freeBytes    = "/gc/heap/frees:bytes"
	freeObjects  = "/gc/heap/frees:objects"
	tinyObjects  = "/gc/heap/tiny/allocs:objects"
	gcCPU        = "/cpu/classes/gc/total:cpu-seconds"
)

// statsReader keeps its buffers, so that who asks ten times a second does not make the garbage that is counted.
type statsReader struct {
	mutex   sync.Mutex
	samples []metrics.Sample
	gc      debug.GCStats
}

func newStatsReader() *statsReader {
	names := []string{allocBytes, allocObjects, freeBytes, freeObjects, tinyObjects, gcCPU}
	reader := &statsReader{samples: make([]metrics.Sample, len(names))}
	for at, name := range names {
		reader.samples[at].Name = name
	}
	return reader
}

// read tells the pauses of the cycles after one, and MemStats where they are wanted.
func (r *statsReader) read(requests uint64, after int64, withMemstats bool) stats {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	metrics.Read(r.samples)
	now := time.Now().UnixNano()
	debug.ReadGCStats(&r.gc)
	tiny := r.count(tinyObjects)
	read := stats{
		AtUnixNs:       now,
		Go:             runtime.Version(),
		Processors:     runtime.GOMAXPROCS(0),
		Requests:       requests,
		AllocObjects:   sum(r.count(allocObjects), tiny),
		AllocBytes:     r.count(allocBytes),
		FreeObjects:    sum(r.count(freeObjects), tiny),
		FreeBytes:      r.count(freeBytes),
		GcCycles:       r.gc.NumGC,
		GcPauseTotalNs: r.gc.PauseTotal.Nanoseconds(),
		GcCPUSeconds:   r.seconds(gcCPU),
		MemProfileRate: runtime.MemProfileRate,
	}
	read.Pauses, read.PausesOverwritten = r.pauses(after)
	if withMemstats {
		read.Memstats = readMemstats()
	}
	return read
}

// pauses are those of the cycles after one, the last first, and how many of them the runtime has forgotten already.
func (r *statsReader) pauses(after int64) ([]pause, int64) {
	wanted := r.gc.NumGC - after
	made := make([]pause, 0, 8)
	for at, lasted := range r.gc.Pause {
		if int64(at) >= wanted || at >= len(r.gc.PauseEnd) {
			break
		}
		made = append(made, pause{r.gc.NumGC - int64(at), lasted.Nanoseconds(), r.gc.PauseEnd[at].UnixNano()})
	}
	if missing := wanted - int64(len(made)); missing > 0 {
		return made, missing
	}
	return made, 0
}

func (r *statsReader) count(name string) *uint64 {
	for _, sample := range r.samples {
		if sample.Name == name && sample.Value.Kind() == metrics.KindUint64 {
			value := sample.Value.Uint64()
			return &value
		}
	}
	return nil
}

func (r *statsReader) seconds(name string) *float64 {
	for _, sample := range r.samples {
		if sample.Name == name && sample.Value.Kind() == metrics.KindFloat64 {
			value := sample.Value.Float64()
			return &value
		}
	}
	return nil
}

func sum(some, others *uint64) *uint64 {
	if some == nil || others == nil {
		return nil
	}
	total := *some + *others
	return &total
}

func readMemstats() *memstats {
	var all runtime.MemStats
	runtime.ReadMemStats(&all)
	return &memstats{
		Mallocs:       all.Mallocs,
		TotalAlloc:    all.TotalAlloc,
		Frees:         all.Frees,
		HeapObjects:   all.HeapObjects,
		HeapAlloc:     all.HeapAlloc,
		NumGC:         all.NumGC,
		PauseTotalNs:  all.PauseTotalNs,
		GCCPUFraction: all.GCCPUFraction,
	}
}

// statsPage answers GET /stats[?after=CYCLE][&memstats=no].
func (s *service) statsPage(w http.ResponseWriter, request *http.Request) {
	query := request.URL.Query()
	var after int64
	if text := query.Get("after"); text != "" {
		cycle, err := strconv.ParseInt(text, 10, 64)
		if err != nil || cycle < 0 {
			http.Error(w, "after is the number of a cycle: /stats?after=12", http.StatusBadRequest)
			return
		}
		after = cycle
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.stats.read(s.served(), after, query.Get("memstats") != "no"))
}
