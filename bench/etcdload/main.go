// Command etcdload is coordload's twin for etcd: closed loops of puts and linearizable gets through
// etcd's own client, one client with its own connection for each of -c, -d requests in flight on
// each, spread over the endpoints. It prints one line of JSON of the same shape.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/clientv3"
)

type options struct {
	endpoints              []string
	op                     string
	conns, depth           int
	seconds, warmup        int
	keys, bytes            int
	readPercent            int
	fill, onlyFill         bool
	value                  string
	measureFrom, measureTo time.Time
}

// tally is what one loop has seen; the loops' tallies are added at the end.
type tally struct {
	latency       histogram
	reads, writes uint64
	errors        uint64
}

func parse() *options {
	o := &options{}
	endpoints := flag.String("s", "127.0.0.1:2379", "endpoints, host:port[,host:port]")
	flag.StringVar(&o.op, "o", "set", "set, get, create or mixed")
	flag.IntVar(&o.conns, "c", 64, "connections")
	flag.IntVar(&o.depth, "d", 1, "requests in flight on each")
	flag.IntVar(&o.seconds, "t", 8, "seconds measured")
	flag.IntVar(&o.warmup, "w", 2, "seconds before that")
	flag.IntVar(&o.keys, "k", 10000, "keys")
	flag.IntVar(&o.bytes, "v", 100, "bytes of a value")
	flag.IntVar(&o.readPercent, "r", 90, "percent of reads in mixed")
	skip := flag.Bool("n", false, "do not create the keys first")
	flag.BoolVar(&o.onlyFill, "F", false, "create the keys, measure nothing")
	flag.Parse()
	o.fill = !*skip
	o.endpoints = strings.Split(*endpoints, ",")
	o.value = strings.Repeat("x", o.bytes)
	switch o.op {
	case "set", "get", "create", "mixed":
	default:
		fail(64, fmt.Errorf("unknown operation: %s", o.op))
	}
	return o
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(code)
}

func (o *options) dial(number int) *clientv3.Client {
	endpoint := o.endpoints[number%len(o.endpoints)]
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second,
	})
	if err != nil {
		fail(69, err)
	}
	return client
}

func key(number int) string { return fmt.Sprintf("/bench/k%08d", number) }

// fillKeys puts every key once.
func (o *options) fillKeys(client *clientv3.Client) {
	var next int64 = -1
	var loops sync.WaitGroup
	for i := 0; i < 256; i++ {
		loops.Add(1)
		go func() {
			defer loops.Done()
			for n := int(atomic.AddInt64(&next, 1)); n < o.keys; n = int(atomic.AddInt64(&next, 1)) {
				if _, err := client.Put(context.Background(), key(n), o.value); err != nil {
					fail(75, err)
				}
			}
		}()
	}
	loops.Wait()
}

// request does one operation; whether it was a read.
func (o *options) request(client *clientv3.Client, dice *rand.Rand, fresh string) (bool, error) {
	ctx := context.Background()
	name := key(dice.Intn(o.keys))
	read := o.op == "get" || (o.op == "mixed" && dice.Intn(100) < o.readPercent)
	if o.op == "create" {
		name = fresh
	}
	var err error
	if read {
		_, err = client.Get(ctx, name)
	} else {
		_, err = client.Put(ctx, name, o.value)
	}
	return read, err
}

func (o *options) loop(client *clientv3.Client, number int, t *tally) {
	dice := rand.New(rand.NewSource(int64(number)))
	for i := 0; ; i++ {
		sent := time.Now()
		if sent.After(o.measureTo) {
			return
		}
		fresh := fmt.Sprintf("/bench/c%x-%d-%d", o.measureTo.UnixNano(), number, i)
		read, err := o.request(client, dice, fresh)
		done := time.Now()
		if err != nil {
			t.errors++
			continue
		}
		if done.Before(o.measureFrom) || !done.Before(o.measureTo) {
			continue
		}
		t.latency.add(uint64(done.Sub(sent)))
		if read {
			t.reads++
		} else {
			t.writes++
		}
	}
}

func (o *options) measure() *tally {
	clients := make([]*clientv3.Client, o.conns)
	for i := range clients {
		clients[i] = o.dial(i)
	}
	tallies := make([]tally, o.conns*o.depth)
	o.measureFrom = time.Now().Add(time.Duration(o.warmup) * time.Second)
	o.measureTo = o.measureFrom.Add(time.Duration(o.seconds) * time.Second)
	var loops sync.WaitGroup
	for i := range tallies {
		loops.Add(1)
		go func(i int) {
			defer loops.Done()
			o.loop(clients[i%o.conns], i, &tallies[i])
		}(i)
	}
	loops.Wait()
	total := &tally{}
	for i := range tallies {
		total.latency.merge(&tallies[i].latency)
		total.reads += tallies[i].reads
		total.writes += tallies[i].writes
		total.errors += tallies[i].errors
	}
	return total
}

func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(used.Utime) + seconds(used.Stime)
}

func (o *options) report(t *tally) {
	rate := func(n uint64) float64 { return float64(n) / float64(o.seconds) }
	micros := func(q float64) float64 { return float64(t.latency.quantile(q)) / 1e3 }
	errors := map[string]uint64{}
	if t.errors > 0 {
		errors["any"] = t.errors
	}
	print(map[string]interface{}{
		"wire": "etcd", "op": o.op, "level": "linearizable", "conns": o.conns, "depth": o.depth,
		"keys": o.keys, "bytes": o.bytes, "seconds": o.seconds, "finished": true,
		"ops_s": rate(t.latency.count), "reads_s": rate(t.reads), "writes_s": rate(t.writes),
		"p50_us": micros(.5), "p90_us": micros(.9), "p99_us": micros(.99),
		"p999_us": micros(.999), "max_us": float64(t.latency.max) / 1e3,
		"reconnects": 0, "sessions_lost": 0, "generator_cpu_s": cpuSeconds(), "errors": errors,
	})
}

func print(values map[string]interface{}) {
	if err := json.NewEncoder(os.Stdout).Encode(values); err != nil {
		fail(74, err)
	}
}

func main() {
	o := parse()
	started := time.Now()
	if o.fill && (o.op != "create" || o.onlyFill) {
		client := o.dial(0)
		o.fillKeys(client)
		client.Close()
	}
	if o.onlyFill {
		rate := float64(o.keys) / time.Since(started).Seconds()
		print(map[string]interface{}{"keys": o.keys, "creates_s": rate})
		return
	}
	o.report(o.measure())
}
