package main

import "math/bits"

const (
	stepBits = 6
	steps    = 1 << stepBits
)

// histogram counts latencies in nanoseconds, log-linear with 64 steps for each power of two, as
// coordload's does.
type histogram struct {
	count, max uint64
	buckets    [(64 - stepBits + 1) * steps]uint32
}

func (h *histogram) add(value uint64) {
	place := value
	if value >= steps {
		shift := uint64(bits.Len64(value)) - 1 - stepBits
		place = (shift+1)*steps + (value>>shift)&(steps-1)
	}
	h.buckets[place]++
	h.count++
	if value > h.max {
		h.max = value
	}
}

func (h *histogram) merge(other *histogram) {
	for place, n := range other.buckets {
		h.buckets[place] += n
	}
	h.count += other.count
	if other.max > h.max {
		h.max = other.max
	}
}

// quantile is the smallest value that at least the fraction q of all values do not exceed, as its
// bucket's floor.
func (h *histogram) quantile(q float64) uint64 {
	wanted, seen := uint64(q*float64(h.count)), uint64(0)
	for place, n := range h.buckets {
		if seen += uint64(n); seen > wanted {
			if place < steps {
				return uint64(place)
			}
			return uint64(steps+place%steps) << (place/steps - 1)
		}
	}
	return h.max
}
