// samuel/go-zookeeper under the worker protocol of workers.py.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/samuel/go-zookeeper/zk"
)

const (
	session      = 10 * time.Second
	shortSession = 2 * time.Second
	patience     = 30 * time.Second
)

var (
	stdin = bufio.NewScanner(os.Stdin)
	open  = zk.WorldACL(zk.PermAll)
)

// lab is where a scenario runs: servers, servers through a network that can be cut, its own node.
type lab struct{ hosts, relayed, root string }

func ask(request string) {
	fmt.Println("@" + request)
	stdin.Scan()
}

func check(condition bool, what ...interface{}) {
	if !condition {
		panic(fmt.Sprint(what...))
	}
}

func must(err error) { check(err == nil, "unexpected: ", err) }

func refused(err, wanted error) { check(err == wanted, "expected ", wanted, ", got ", err) }

// connection is a client and what it says about its session.
type connection struct {
	*zk.Conn
	states <-chan zk.Event
	root   string
}

func connect(hosts string, root string, timeout time.Duration) *connection {
	conn, states, err := zk.Connect(strings.Split(hosts, ","), timeout, zk.WithLogInfo(false))
	must(err)
	made := &connection{conn, states, root}
	made.state(zk.StateHasSession)
	return made
}

func (c *connection) state(wanted zk.State) {
	deadline := time.After(patience)
	for {
		select {
		case event := <-c.states:
			if event.Type == zk.EventSession && event.State == wanted {
				return
			}
		case <-deadline:
			panic("never " + wanted.String())
		}
	}
}

func (c *connection) make(path string, data string, flags int32) string {
	made, err := c.Create(c.root+path, []byte(data), flags, open)
	must(err)
	return strings.TrimPrefix(made, c.root)
}

// sync lets later reads see all that others have been told: reads are local to a server.
func (c *connection) sync() {
	_, err := c.Sync(c.root)
	must(err)
}

func next(events <-chan zk.Event, kind zk.EventType, path string) {
	select {
	case event := <-events:
		check(event.Type == kind && event.Path == path, "expected ", kind, path, ", got ", event)
	case <-time.After(patience):
		panic("no event at " + path)
	}
}

func crud(l lab) {
	c := connect(l.hosts, l.root, session)
	defer c.Close()
	c.make("/a", "one", 0)
	data, stat, err := c.Get(l.root + "/a")
	must(err)
	check(string(data) == "one" && stat.Version == 0 && stat.DataLength == 3, string(data), stat)
	stat, err = c.Set(l.root+"/a", []byte("two"), 0)
	must(err)
	check(stat.Version == 1 && stat.Mzxid > stat.Czxid, stat)
	c.make("/a/b", "", 0)
	names, stat, err := c.Children(l.root + "/a")
	must(err)
	check(len(names) == 1 && names[0] == "b" && stat.NumChildren == 1, names, stat)
	exists, _, err := c.Exists(l.root + "/nothing")
	must(err)
	check(!exists, "nothing exists")
	_, err = c.Create(l.root+"/a", nil, 0, open)
	refused(err, zk.ErrNodeExists)
	_, err = c.Create(l.root+"/x/y", nil, 0, open)
	refused(err, zk.ErrNoNode)
	_, err = c.Set(l.root+"/a", nil, 9)
	refused(err, zk.ErrBadVersion)
	refused(c.Delete(l.root+"/a", -1), zk.ErrNotEmpty)
	path, err := c.Sync(l.root)
	must(err)
	check(path == l.root, path)
	must(c.Delete(l.root+"/a/b", 0))
	must(c.Delete(l.root+"/a", 1))
}

func createModes(l lab) {
	c := connect(l.hosts, l.root, session)
	defer c.Close()
	check(c.make("/p", "", 0) == "/p", "persistent")
	check(c.make("/e", "", zk.FlagEphemeral) == "/e", "ephemeral")
	check(c.make("/s", "", zk.FlagSequence) == "/s0000000002", "sequential")
	check(c.make("/es", "", zk.FlagEphemeral|zk.FlagSequence) == "/es0000000003", "both")
	_, stat, err := c.Exists(l.root + "/e")
	must(err)
	check(stat.EphemeralOwner == c.SessionID(), stat)
	_, err = c.Create(l.root+"/e/child", nil, 0, open)
	refused(err, zk.ErrNoChildrenForEphemerals)
	protected, err := c.CreateProtectedEphemeralSequential(l.root+"/g", nil, open)
	must(err)
	check(strings.Contains(protected, "/_c_"), protected)
}

func watches(l lab) {
	c, other := connect(l.hosts, l.root, session), connect(l.hosts, l.root, session)
	defer c.Close()
	defer other.Close()
	c.make("/w", "", 0)
	c.make("/d", "", 0) // another one, since this client tells child watches of data as well
	_, _, data, err := c.GetW(l.root + "/w")
	must(err)
	_, _, exists, err := c.ExistsW(l.root + "/later")
	must(err)
	_, _, children, err := c.ChildrenW(l.root + "/d")
	must(err)
	_, err = other.Set(l.root+"/w", []byte("1"), -1)
	must(err)
	other.make("/later", "", 0)
	other.make("/d/c", "", 0)
	next(data, zk.EventNodeDataChanged, l.root+"/w")
	next(exists, zk.EventNodeCreated, l.root+"/later")
	next(children, zk.EventNodeChildrenChanged, l.root+"/d")
}

func watchesAcrossReconnect(l lab) {
	near := connect(l.hosts, l.root, session)
	defer near.Close()
	near.make("/changed", "", 0)
	near.make("/kept", "", 0)
	far := connect(l.relayed, l.root, session)
	defer far.Close()
	far.sync()
	_, _, changed, err := far.GetW(l.root + "/changed")
	must(err)
	_, _, created, err := far.ExistsW(l.root + "/created")
	must(err)
	_, _, kept, err := far.ChildrenW(l.root + "/kept")
	must(err)
	ask("cut")
	far.state(zk.StateDisconnected)
	_, err = near.Set(l.root+"/changed", []byte("meanwhile"), -1)
	must(err)
	near.make("/created", "", 0)
	ask("mend")
	far.state(zk.StateHasSession)
	next(changed, zk.EventNodeDataChanged, l.root+"/changed")
	next(created, zk.EventNodeCreated, l.root+"/created")
	near.make("/kept/child", "", 0)
	next(kept, zk.EventNodeChildrenChanged, l.root+"/kept")
}

func multi(l lab) {
	c := connect(l.hosts, l.root, session)
	defer c.Close()
	results, err := c.Multi(
		&zk.CreateRequest{Path: l.root + "/m", Data: []byte("1"), Acl: open},
		&zk.CreateRequest{Path: l.root + "/m/s", Acl: open, Flags: zk.FlagSequence},
		&zk.SetDataRequest{Path: l.root + "/m", Data: []byte("2"), Version: 0},
		&zk.CheckVersionRequest{Path: l.root + "/m", Version: 1},
		&zk.DeleteRequest{Path: l.root + "/m/s0000000000", Version: -1})
	must(err)
	check(results[1].String == l.root+"/m/s0000000000", results[1].String)
	check(results[2].Stat.Version == 1, results[2].Stat)
	_, err = c.Multi(
		&zk.CreateRequest{Path: l.root + "/u", Acl: open},
		&zk.CheckVersionRequest{Path: l.root + "/m", Version: 9})
	refused(err, zk.ErrBadVersion)
	exists, _, err := c.Exists(l.root + "/u")
	must(err)
	check(!exists, "half of it was applied")
}

func acls(l lab) {
	eve, other := connect(l.hosts, l.root, session), connect(l.hosts, l.root, session)
	defer eve.Close()
	defer other.Close()
	must(eve.AddAuth("digest", []byte("eve:pass")))
	_, err := eve.Create(l.root+"/mine", nil, 0, zk.AuthACL(zk.PermAll))
	must(err)
	other.sync()
	_, _, err = other.Get(l.root + "/mine")
	refused(err, zk.ErrNoAuth)
	must(other.AddAuth("digest", []byte("eve:pass")))
	_, _, err = other.Get(l.root + "/mine")
	must(err)
	entries, stat, err := eve.GetACL(l.root + "/mine")
	must(err)
	check(len(entries) == 1 && entries[0].Scheme == "digest", entries)
	stat, err = eve.SetACL(l.root+"/mine", zk.DigestACL(zk.PermRead, "bob", "secret"), 0)
	must(err)
	check(stat.Aversion == 1, stat)
	_, _, err = eve.Get(l.root + "/mine")
	refused(err, zk.ErrNoAuth)
}

func ephemerals(l lab) {
	c, owner := connect(l.hosts, l.root, session), connect(l.hosts, l.root, session)
	defer c.Close()
	owner.make("/e", "", zk.FlagEphemeral)
	c.sync()
	_, _, gone, err := c.ExistsW(l.root + "/e")
	must(err)
	owner.Close()
	next(gone, zk.EventNodeDeleted, l.root+"/e")
}

func sessionMoves(l lab) {
	c := connect(l.hosts, l.root, session)
	defer c.Close()
	must(c.AddAuth("digest", []byte("eve:pass")))
	c.make("/e", "", zk.FlagEphemeral)
	_, err := c.Create(l.root+"/mine", nil, 0, zk.AuthACL(zk.PermAll))
	must(err)
	before := c.SessionID()
	ask("kill")
	c.state(zk.StateDisconnected)
	c.state(zk.StateHasSession)
	check(c.SessionID() == before, "another session")
	_, stat, err := c.Exists(l.root + "/e")
	must(err)
	check(stat.EphemeralOwner == before, stat)
	_, _, err = c.Get(l.root + "/mine")
	must(err)
	ask("restart")
}

func expiry(l lab) {
	c := connect(l.relayed, l.root, shortSession)
	defer c.Close()
	c.make("/e", "", zk.FlagEphemeral)
	ask("expire " + l.root + "/e")
	c.state(zk.StateExpired)
	c.state(zk.StateHasSession)
	c.sync()
	exists, _, err := c.Exists(l.root + "/e")
	must(err)
	check(!exists, "/e is still there")
}

func lock(l lab) {
	c, other := connect(l.hosts, l.root, session), connect(l.hosts, l.root, session)
	defer c.Close()
	defer other.Close()
	first, second := zk.NewLock(c.Conn, l.root+"/lock", open), zk.NewLock(other.Conn, l.root+"/lock", open)
	must(first.Lock())
	taken := make(chan error)
	go func() { taken <- second.Lock() }()
	queued := func() bool {
		names, _, err := c.Children(l.root + "/lock")
		must(err)
		return len(names) == 2
	}
	for !queued() {
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case <-taken:
		panic("two holders")
	default:
	}
	must(first.Unlock())
	must(<-taken)
	must(second.Unlock())
}

func words(l lab) {
	for _, healthy := range zk.FLWRuok(strings.Split(l.hosts, ","), patience) {
		check(healthy, "a server is not well")
	}
}

var scenarios = map[string]func(lab){
	"crud": crud, "createModes": createModes, "watches": watches,
	"watchesAcrossReconnect": watchesAcrossReconnect, "multi": multi, "acls": acls,
	"ephemerals": ephemerals, "sessionMoves": sessionMoves, "expiry": expiry, "lock": lock,
	"words": words,
}

func verdict(name string, l lab) (said string) {
	defer func() {
		if failure := recover(); failure != nil {
			log.Print(failure)
			said = strings.ReplaceAll(fmt.Sprint("FAIL ", failure), "\n", " ")
		}
	}()
	scenarios[name](l)
	return "PASS"
}

func main() {
	for stdin.Scan() {
		words := strings.Fields(stdin.Text())
		fmt.Println(verdict(words[1], lab{words[2], words[3], words[4]}))
	}
}
