import static org.apache.zookeeper.ZooDefs.Ids.CREATOR_ALL_ACL;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;
import static org.apache.zookeeper.ZooDefs.Ids.READ_ACL_UNSAFE;

import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** The class org.apache.zookeeper.ZooKeeper by itself. */
final class Plain {
    /** Keeps the events that it is told, as "type path" or, without a path, as the state's name. */
    static final class Events implements Watcher {
        private final LinkedBlockingQueue<String> told = new LinkedBlockingQueue<>();

        @Override
        public void process(WatchedEvent event) {
            boolean isState = event.getType() == Event.EventType.None;
            told.add(isState ? event.getState().name() : event.getType() + " " + event.getPath());
        }

        /** The next events are these; states in between do not count. */
        void next(String... expected) throws InterruptedException {
            for (String wanted : expected) {
                String event;
                do {
                    event = told.poll(Lab.PATIENCE_MS, TimeUnit.MILLISECONDS);
                } while (event != null && !event.contains(" "));
                Lab.equal(String.valueOf(event), wanted);
            }
        }

        /** Waits for a state, past whatever comes before it. */
        void state(KeeperState state) throws InterruptedException {
            String event;
            do {
                event = told.poll(Lab.PATIENCE_MS, TimeUnit.MILLISECONDS);
                Lab.check(event != null, "never " + state);
            } while (!event.equals(state.name()));
        }
    }

    private static ZooKeeper open(String hosts, int timeoutMs, Lab lab, Events events)
            throws Exception {
        ZooKeeper zk = new ZooKeeper(hosts + lab.root, timeoutMs, events);
        events.state(KeeperState.SyncConnected);
        return zk;
    }

    private static ZooKeeper open(Lab lab) throws Exception {
        return open(lab.hosts, Lab.SESSION_MS, lab, new Events());
    }

    /** Lets later reads see all that others have been told: reads are local to a server. */
    private static void sync(ZooKeeper zk) {
        zk.sync("/", (code, path, context) -> { }, null);
    }

    static void crud(Lab lab) throws Exception {
        try (ZooKeeper zk = open(lab)) {
            Stat stat = new Stat();
            zk.create("/a", Lab.bytes("one"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, stat);
            Lab.equal(stat.getDataLength(), 3);
            Lab.equal(new String(zk.getData("/a", false, stat)), "one");
            Lab.equal(zk.setData("/a", Lab.bytes("two"), 0).getVersion(), 1);
            zk.create("/a/b", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            Lab.equal(zk.getChildren("/a", false, stat), List.of("b"));
            Lab.equal(stat.getNumChildren(), 1);
            Lab.refused(KeeperException.NodeExistsException.class,
                    () -> zk.create("/a", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
            Lab.refused(KeeperException.NotEmptyException.class, () -> zk.delete("/a", -1));
            Lab.refused(KeeperException.BadVersionException.class, () -> zk.delete("/a", 7));
            Lab.refused(KeeperException.NoNodeException.class, () -> zk.getChildren("/x", false));
            zk.delete("/a/b", 0);
            zk.delete("/a", 1);
            Lab.check(zk.exists("/a", false) == null, "/a is still there");
        }
    }

    static void createModes(Lab lab) throws Exception {
        try (ZooKeeper zk = open(lab)) {
            for (CreateMode mode : CreateMode.values()) {
                String name = "/" + mode.name() + "-";
                Stat stat = new Stat();
                long ttl = mode.isTTL() ? 600_000 : -1;
                String path = zk.create(name, null, OPEN_ACL_UNSAFE, mode, stat, ttl);
                Lab.check(mode.isSequential() == path.matches(".*-\\d{10}"), path);
                long owner = mode.isEphemeral() ? zk.getSessionId() : 0;
                Lab.equal(stat.getEphemeralOwner(), owner);
            }
            Lab.refused(KeeperException.NoChildrenForEphemeralsException.class, () -> zk.create(
                    "/EPHEMERAL-/child", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        }
    }

    static void oneShotWatches(Lab lab) throws Exception {
        Events data = new Events();
        Events exists = new Events();
        Events children = new Events();
        try (ZooKeeper zk = open(lab); ZooKeeper other = open(lab)) {
            zk.create("/w", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            zk.getData("/w", data, null);
            zk.exists("/later", exists);
            zk.getChildren("/w", children);
            for (int round = 0; round < 2; round++) {
                other.setData("/w", Lab.bytes("x"), -1);
                other.create("/w/child" + round, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            }
            other.create("/later", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            other.delete("/later", -1);
            data.next("NodeDataChanged /w");
            children.next("NodeChildrenChanged /w");
            exists.next("NodeCreated /later");
            sync(zk);
            Lab.equal(zk.exists("/w", false).getVersion(), 2);
            Lab.check(data.told.isEmpty() && children.told.isEmpty() && exists.told.isEmpty(),
                    "a watch fired twice");
        }
    }

    static void persistentWatches(Lab lab) throws Exception {
        Events one = new Events();
        Events tree = new Events();
        try (ZooKeeper zk = open(lab); ZooKeeper other = open(lab)) {
            zk.addWatch("/one", one, AddWatchMode.PERSISTENT);
            zk.addWatch("/tree", tree, AddWatchMode.PERSISTENT_RECURSIVE);
            for (String path : List.of("/one", "/tree")) {
                other.create(path, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
                other.setData(path, Lab.bytes("1"), -1);
                other.create(path + "/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
                other.setData(path + "/c", Lab.bytes("1"), -1);
                other.delete(path + "/c", -1);
                other.delete(path, -1);
            }
            one.next("NodeCreated /one", "NodeDataChanged /one", "NodeChildrenChanged /one",
                    "NodeChildrenChanged /one", "NodeDeleted /one");
            tree.next("NodeCreated /tree", "NodeDataChanged /tree", "NodeCreated /tree/c",
                    "NodeDataChanged /tree/c", "NodeDeleted /tree/c", "NodeDeleted /tree");
        }
    }

    static void watchesAcrossReconnect(Lab lab) throws Exception {
        Events session = new Events();
        Events changed = new Events();
        Events created = new Events();
        Events kept = new Events();
        Events children = new Events();
        Events tree = new Events();
        try (ZooKeeper far = open(lab.relayed, Lab.SESSION_MS, lab, session);
                ZooKeeper near = open(lab)) {
            for (String path : List.of("/changed", "/kept", "/tree")) {
                near.create(path, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            }
            sync(far);
            far.getData("/changed", changed, null);
            far.exists("/created", created);
            far.getData("/kept", kept, null);
            far.getChildren("/kept", children);
            far.addWatch("/tree", tree, AddWatchMode.PERSISTENT_RECURSIVE);
            lab.ask("cut");
            session.state(KeeperState.Disconnected);
            near.setData("/changed", Lab.bytes("meanwhile"), -1);
            near.create("/created", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            near.create("/kept/child", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            lab.ask("mend");
            session.state(KeeperState.SyncConnected);
            changed.next("NodeDataChanged /changed");
            created.next("NodeCreated /created");
            children.next("NodeChildrenChanged /kept");
            near.setData("/kept", Lab.bytes("after"), -1);
            near.create("/tree/leaf", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            kept.next("NodeDataChanged /kept");
            tree.next("NodeCreated /tree/leaf");
        }
    }

    static void removedWatches(Lab lab) throws Exception {
        Events data = new Events();
        Events tree = new Events();
        try (ZooKeeper zk = open(lab)) {
            zk.create("/w", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            zk.getData("/w", data, null);
            zk.addWatch("/w", tree, AddWatchMode.PERSISTENT_RECURSIVE);
            zk.removeWatches("/w", data, Watcher.WatcherType.Data, false);
            data.next("DataWatchRemoved /w");
            zk.removeWatches("/w", tree, Watcher.WatcherType.Any, false);
            Lab.refused(KeeperException.NoWatcherException.class,
                    () -> zk.removeWatches("/w", tree, Watcher.WatcherType.Any, false));
        }
    }

    static void multi(Lab lab) throws Exception {
        try (ZooKeeper zk = open(lab)) {
            List<OpResult> results = zk.multi(List.of(
                    Op.create("/m", Lab.bytes("1"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                    Op.create("/m/s", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL),
                    Op.create("/m/c", null, OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
                    Op.create("/m/t", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 9_999),
                    Op.setData("/m", Lab.bytes("2"), 0),
                    Op.check("/m", 1),
                    Op.delete("/m/c", 0)));
            String sequential = ((OpResult.CreateResult) results.get(1)).getPath();
            Lab.equal(sequential, lab.root + "/m/s0000000000");  // with the chroot, unlike create
            Lab.equal(((OpResult.SetDataResult) results.get(4)).getStat().getVersion(), 1);
            try {
                zk.multi(List.of(Op.delete("/m", -1), Op.check("/m", 1)));
                throw new AssertionError("a failing multi was applied");
            } catch (KeeperException failure) {
                Lab.equal(failure.code(), Code.NOTEMPTY);
                OpResult.ErrorResult last = (OpResult.ErrorResult) failure.getResults().get(1);
                Lab.equal(last.getErr(), Code.RUNTIMEINCONSISTENCY.intValue());
            }
            List<OpResult> reads = zk.multi(
                    List.of(Op.getData("/m"), Op.getData("/nothing"), Op.getChildren("/m")));
            Lab.equal(new String(((OpResult.GetDataResult) reads.get(0)).getData()), "2");
            Lab.equal(((OpResult.ErrorResult) reads.get(1)).getErr(), Code.NONODE.intValue());
            Set<String> names =
                    new TreeSet<>(((OpResult.GetChildrenResult) reads.get(2)).getChildren());
            Lab.equal(names, new TreeSet<>(List.of("s0000000000", "t")));
        }
    }

    static void acls(Lab lab) throws Exception {
        try (ZooKeeper eve = open(lab); ZooKeeper other = open(lab)) {
            Lab.refused(KeeperException.InvalidACLException.class,
                    () -> eve.create("/mine", null, CREATOR_ALL_ACL, CreateMode.PERSISTENT));
            eve.addAuthInfo("digest", Lab.bytes("eve:pass"));
            eve.create("/mine", Lab.bytes("x"), CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            sync(other);
            Lab.refused(KeeperException.NoAuthException.class,
                    () -> other.getData("/mine", false, null));
            Stat stat = new Stat();
            Lab.equal(eve.getACL("/mine", stat).get(0).getId().getScheme(), "digest");
            Lab.equal(eve.setACL("/mine", READ_ACL_UNSAFE, 0).getAversion(), 1);
            sync(other);
            Lab.equal(new String(other.getData("/mine", false, null)), "x");
            Lab.refused(KeeperException.NoAuthException.class,
                    () -> other.setData("/mine", null, -1));
            Set<String> schemes = new TreeSet<>();
            eve.whoAmI().forEach(identity -> schemes.add(identity.getAuthScheme()));
            Lab.equal(schemes, new TreeSet<>(List.of("digest", "ip")));
        }
    }

    static void countsAndEphemerals(Lab lab) throws Exception {
        try (ZooKeeper zk = open(lab); ZooKeeper other = open(lab)) {
            zk.create("/e1", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            zk.create("/x", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            zk.create("/x/e2", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            Lab.equal(zk.getAllChildrenNumber("/"), 3);
            Lab.equal(zk.getAllChildrenNumber("/x"), 1);
            Lab.equal(new TreeSet<>(zk.getEphemerals("/")).size(), 2);
            // This client does not put its chroot before the prefix.
            Lab.equal(zk.getEphemerals(lab.root + "/x").size(), 1);
            Lab.equal(other.getEphemerals("/").size(), 0);
            zk.close();
            sync(other);
            Lab.equal(other.getChildren("/", false), List.of("x"));
        }
    }

    static void sessionMoves(Lab lab) throws Exception {
        Events session = new Events();
        try (ZooKeeper zk = open(lab.hosts, Lab.SESSION_MS, lab, session)) {
            zk.create("/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            long before = zk.getSessionId();
            lab.ask("kill");
            session.state(KeeperState.Disconnected);
            session.state(KeeperState.SyncConnected);
            Lab.equal(zk.getSessionId(), before);
            Lab.equal(zk.exists("/e", false).getEphemeralOwner(), before);
        } finally {
            lab.ask("restart");
        }
    }

    static void readOnly(Lab lab) throws Exception {
        Events session = new Events();
        try (ZooKeeper zk = new ZooKeeper(lab.hosts + lab.root, Lab.SESSION_MS, session, true)) {
            session.state(KeeperState.SyncConnected);
            zk.create("/e", Lab.bytes("x"), OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            long before = zk.getSessionId();
            lab.ask("kill-majority");
            session.state(KeeperState.ConnectedReadOnly);
            Lab.equal(new String(zk.getData("/e", false, null)), "x");
            Lab.refused(KeeperException.NotReadOnlyException.class,
                    () -> zk.create("/no", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
            lab.ask("restart");
            session.state(KeeperState.SyncConnected);
            Lab.equal(zk.getSessionId(), before);
            Lab.equal(zk.setData("/e", Lab.bytes("y"), 0).getVersion(), 1);
        }
    }

    static void expiry(Lab lab) throws Exception {
        Events session = new Events();
        Events watch = new Events();
        try (ZooKeeper zk = open(lab.relayed, Lab.SHORT_SESSION_MS, lab, session)) {
            zk.create("/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            zk.exists("/e", watch);
            lab.ask("expire " + lab.root + "/e");
            session.state(KeeperState.Expired);
            watch.state(KeeperState.Expired);
            Lab.refused(KeeperException.SessionExpiredException.class,
                    () -> zk.exists("/e", false));
        }
    }

    private Plain() {}
}
