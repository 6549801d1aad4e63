package bench

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
)

// usage adds what the process holds now. Where the system does not tell, the figures are left out.
func (r *Report) usage() {
	r.RSSMB = float64(residentBytes()) / 1e6
	r.Descriptors = descriptors()
}

// residentBytes returns the resident set size. On systems without /proc it is what the Go runtime holds, which is nearly all.
func residentBytes() uint64 {
	// proc(5): the second field of statm is the resident set, in pages.
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := bytes.Fields(b); len(fields) > 1 {
			if pages, err := strconv.ParseUint(string(fields[1]), 10, 64); err == nil {
				return pages * uint64(os.Getpagesize())
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}

// descriptors counts open files, sockets included; 0 where the system does not tell.
func descriptors() int {
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if entries, err := os.ReadDir(dir); err == nil {
			return len(entries) - 1 // without the one that lists them
		}
	}
	return 0
}
