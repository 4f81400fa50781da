import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.RetryPolicy;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooDefs.Ids;

/** Curator's framework and recipes. */
final class Recipes {
    private static final RetryPolicy RETRY = new RetryForever(50);

    private static CuratorFramework open(String hosts, int timeoutMs, Lab lab) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder()
                .connectString(hosts)
                .namespace(lab.root.substring(1))
                .sessionTimeoutMs(timeoutMs)
                .connectionTimeoutMs(timeoutMs)
                .retryPolicy(RETRY)
                // It would go round the relay, to the addresses in /zookeeper/config.
                .ensembleTracker(!hosts.equals(lab.relayed))
                .build();
        client.start();
        client.blockUntilConnected();
        return client;
    }

    private static CuratorFramework open(Lab lab) throws Exception {
        return open(lab.hosts, Lab.SESSION_MS, lab);
    }

    /** Lets later reads see all that others have been told: reads are local to a server. */
    private static void sync(CuratorFramework client) throws Exception {
        client.sync().forPath("/");
    }

    static void createModes(Lab lab) throws Exception {
        try (CuratorFramework client = open(lab)) {
            for (CreateMode mode : CreateMode.values()) {
                String path = "/deep/er/" + mode.name();
                if (mode.isTTL()) {
                    client.create().withTtl(600_000).withMode(mode).forPath(path);
                } else {
                    client.create().creatingParentContainersIfNeeded().withMode(mode)
                            .forPath(path);
                }
            }
            Lab.equal(client.getChildren().forPath("/deep/er").size(), CreateMode.values().length);
            String path = client.create().withProtection()
                    .withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/p-");
            Lab.check(path.startsWith("/_c_"), path);
            client.create().orSetData().forPath("/o", Lab.bytes("1"));
            client.create().orSetData().forPath("/o", Lab.bytes("2"));
            Lab.equal(new String(client.getData().forPath("/o")), "2");
            client.delete().guaranteed().deletingChildrenIfNeeded().forPath("/deep");
            Lab.check(client.checkExists().forPath("/deep") == null, "/deep is still there");
        }
    }

    static void transaction(Lab lab) throws Exception {
        try (CuratorFramework client = open(lab)) {
            List<CuratorTransactionResult> results = client.transaction().forOperations(
                    client.transactionOp().create().forPath("/t", Lab.bytes("1")),
                    client.transactionOp().create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
                            .forPath("/t/s-"),
                    client.transactionOp().setData().withVersion(0).forPath("/t", Lab.bytes("2")),
                    client.transactionOp().check().withVersion(1).forPath("/t"));
            Lab.equal(results.get(1).getResultPath(), "/t/s-0000000000");
            Lab.equal(results.get(2).getResultStat().getVersion(), 1);
            Lab.refused(KeeperException.BadVersionException.class,
                    () -> client.transaction().forOperations(
                            client.transactionOp().create().forPath("/u"),
                            client.transactionOp().check().withVersion(9).forPath("/t")));
            Lab.check(client.checkExists().forPath("/u") == null, "half of it was applied");
        }
    }

    static void acls(Lab lab) throws Exception {
        try (CuratorFramework eve = CuratorFrameworkFactory.builder()
                        .connectString(lab.hosts).namespace(lab.root.substring(1))
                        .authorization("digest", Lab.bytes("eve:pass")).retryPolicy(RETRY).build();
                CuratorFramework other = open(lab)) {
            eve.start();
            eve.create().withACL(Ids.CREATOR_ALL_ACL).forPath("/mine", Lab.bytes("x"));
            Lab.equal(new String(eve.getData().forPath("/mine")), "x");
            sync(other);
            Lab.refused(KeeperException.NoAuthException.class,
                    () -> other.getData().forPath("/mine"));
        }
    }

    static void mutex(Lab lab) throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger rounds = new AtomicInteger();
        List<Throwable> failures = new CopyOnWriteArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int worker = 0; worker < 3; worker++) {
            Thread thread = new Thread(() -> {
                try (CuratorFramework client = open(lab)) {
                    InterProcessMutex mutex = new InterProcessMutex(client, "/mutex");
                    for (int round = 0; round < 4; round++) {
                        mutex.acquire();
                        Lab.equal(inside.incrementAndGet(), 1);
                        rounds.incrementAndGet();
                        inside.decrementAndGet();
                        mutex.release();
                    }
                } catch (Throwable failure) {
                    failures.add(failure);
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        Lab.equal(failures, List.of());
        Lab.equal(rounds.get(), 12);
    }

    static void semaphore(Lab lab) throws Exception {
        try (CuratorFramework client = open(lab); CuratorFramework other = open(lab)) {
            InterProcessSemaphoreV2 mine = new InterProcessSemaphoreV2(client, "/semaphore", 2);
            InterProcessSemaphoreV2 theirs = new InterProcessSemaphoreV2(other, "/semaphore", 2);
            Lease first = mine.acquire();
            Lease second = theirs.acquire();
            Lab.check(mine.acquire(100, TimeUnit.MILLISECONDS) == null, "three leases of two");
            theirs.returnLease(second);
            Lease third = mine.acquire(Lab.PATIENCE_MS, TimeUnit.MILLISECONDS);
            Lab.check(third != null, "no lease was left");
            mine.returnLease(first);
            mine.returnLease(third);
        }
    }

    static void leaderLatch(Lab lab) throws Exception {
        try (CuratorFramework client = open(lab); CuratorFramework other = open(lab)) {
            LeaderLatch first = new LeaderLatch(client, "/latch", "first");
            LeaderLatch second = new LeaderLatch(other, "/latch", "second");
            first.start();
            first.await();
            second.start();
            Lab.await("two participants", () -> second.getParticipants().size() == 2);
            Lab.equal(second.getLeader().getId(), "first");
            Lab.check(!second.hasLeadership(), "two leaders");
            first.close();
            second.await();
            second.close();
        }
    }

    static void leaderSelector(Lab lab) throws Exception {
        List<String> leaders = new CopyOnWriteArrayList<>();
        CountDownLatch taken = new CountDownLatch(3);
        try (CuratorFramework client = open(lab)) {
            LeaderSelector selector = new LeaderSelector(client, "/selector",
                    new LeaderSelectorListenerAdapter() {
                        @Override
                        public void takeLeadership(CuratorFramework leader) {
                            leaders.add("me");
                            taken.countDown();
                        }
                    });
            selector.autoRequeue();
            selector.start();
            Lab.check(taken.await(Lab.PATIENCE_MS, TimeUnit.MILLISECONDS), "elected " + leaders);
            selector.close();
        }
    }

    static void leaderLatchSurvivesKill(Lab lab) throws Exception {
        try (CuratorFramework client = open(lab);
                LeaderLatch latch = new LeaderLatch(client, "/latch", "only")) {
            latch.start();
            latch.await();
            long before = client.getZookeeperClient().getZooKeeper().getSessionId();
            LinkedBlockingQueue<ConnectionState> states = states(client);
            lab.ask("kill");
            until(states, ConnectionState.SUSPENDED);
            until(states, ConnectionState.RECONNECTED);
            latch.await();
            Lab.equal(client.getZookeeperClient().getZooKeeper().getSessionId(), before);
        } finally {
            lab.ask("restart");
        }
    }

    private static LinkedBlockingQueue<ConnectionState> states(CuratorFramework client) {
        LinkedBlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
        client.getConnectionStateListenable().addListener((c, state) -> states.add(state));
        return states;
    }

    private static void until(LinkedBlockingQueue<ConnectionState> states, ConnectionState wanted)
            throws InterruptedException {
        ConnectionState state;
        do {
            state = states.poll(Lab.PATIENCE_MS, TimeUnit.MILLISECONDS);
            Lab.check(state != null, "never " + wanted);
        } while (state != wanted);
    }

    static void cache(Lab lab) throws Exception {
        Set<String> events = new ConcurrentSkipListSet<>();
        try (CuratorFramework far = open(lab.relayed, Lab.SESSION_MS, lab);
                CuratorFramework near = open(lab)) {
            near.create().forPath("/tree", Lab.bytes("root"));
            near.create().forPath("/tree/old", Lab.bytes("1"));
            CountDownLatch filled = new CountDownLatch(1);
            sync(far);
            CuratorCache cache = CuratorCache.build(far, "/tree");
            cache.listenable().addListener(CuratorCacheListener.builder()
                    .forCreates(node -> events.add("created " + node.getPath()))
                    .forChanges((old, node) -> events.add("changed " + node.getPath()))
                    .forDeletes(node -> events.add("deleted " + node.getPath()))
                    .forInitialized(filled::countDown)
                    .build());
            LinkedBlockingQueue<ConnectionState> states = states(far);
            cache.start();
            Lab.check(filled.await(Lab.PATIENCE_MS, TimeUnit.MILLISECONDS), "never initialized");
            Lab.equal(cache.size(), 2);
            near.create().forPath("/tree/new");
            near.setData().forPath("/tree/old", Lab.bytes("2"));
            Lab.await("two events", () -> events.contains("created /tree/new")
                    && events.contains("changed /tree/old"));
            lab.ask("cut");
            until(states, ConnectionState.SUSPENDED);
            near.setData().forPath("/tree/new", Lab.bytes("3"));
            near.create().forPath("/tree/new/deep");
            lab.ask("mend");
            Lab.await("what happened meanwhile", () -> events.contains("changed /tree/new")
                    && events.contains("created /tree/new/deep"));
            near.delete().forPath("/tree/old");
            Lab.await("a deletion", () -> events.contains("deleted /tree/old"));
            cache.close();
        }
    }

    static void persistentNode(Lab lab) throws Exception {
        try (CuratorFramework far = open(lab.relayed, Lab.SHORT_SESSION_MS, lab);
                CuratorFramework near = open(lab)) {
            PersistentNode node = new PersistentNode(
                    far, CreateMode.EPHEMERAL, false, "/alive", Lab.bytes("here"));
            node.start();
            Lab.check(node.waitForInitialCreate(Lab.PATIENCE_MS, TimeUnit.MILLISECONDS), "created");
            near.delete().forPath("/alive");
            Lab.await("it comes back", () -> near.checkExists().forPath("/alive") != null);
            long before = near.checkExists().forPath("/alive").getEphemeralOwner();
            lab.ask("expire " + lab.root + "/alive");
            Lab.await("another session's node", () -> near.checkExists().forPath("/alive") != null
                    && near.checkExists().forPath("/alive").getEphemeralOwner() != before);
            node.close();
            sync(near);
            Lab.check(near.checkExists().forPath("/alive") == null, "/alive is still there");
        }
    }

    static void expiry(Lab lab) throws Exception {
        try (CuratorFramework client = open(lab.relayed, Lab.SHORT_SESSION_MS, lab)) {
            LinkedBlockingQueue<ConnectionState> states = states(client);
            client.create().withMode(CreateMode.EPHEMERAL).forPath("/e");
            lab.ask("expire " + lab.root + "/e");
            until(states, ConnectionState.LOST);
            until(states, ConnectionState.RECONNECTED);
            sync(client);
            Lab.check(client.checkExists().forPath("/e") == null, "/e is still there");
        }
    }

    static void counters(Lab lab) throws Exception {
        try (CuratorFramework client = open(lab); CuratorFramework other = open(lab)) {
            SharedCount mine = new SharedCount(client, "/shared", 3);
            SharedCount theirs = new SharedCount(other, "/shared", 3);
            mine.start();
            theirs.start();
            Lab.check(mine.trySetCount(mine.getVersionedValue(), 4), "not set");
            Lab.await("the other one to hear of it", () -> theirs.getCount() == 4);
            mine.close();
            theirs.close();
            DistributedAtomicLong number = new DistributedAtomicLong(client, "/number", RETRY);
            Lab.equal(number.add(5L).postValue(), 5L);
            Lab.equal(number.increment().postValue(), 6L);
        }
    }

    static void queue(Lab lab) throws Exception {
        try (CuratorFramework client = open(lab); CuratorFramework other = open(lab)) {
            SimpleDistributedQueue mine = new SimpleDistributedQueue(client, "/queue");
            SimpleDistributedQueue theirs = new SimpleDistributedQueue(other, "/queue");
            for (int item = 0; item < 3; item++) {
                mine.offer(Lab.bytes("item " + item));
            }
            for (int item = 0; item < 3; item++) {
                byte[] taken = theirs.poll(Lab.PATIENCE_MS, TimeUnit.MILLISECONDS);
                Lab.equal(new String(taken), "item " + item);
            }
            sync(client);
            Lab.check(mine.peek() == null, "the queue is not empty");
        }
    }

    static void barrierAndGroup(Lab lab) throws Exception {
        try (CuratorFramework client = open(lab); CuratorFramework other = open(lab)) {
            DistributedDoubleBarrier mine = new DistributedDoubleBarrier(client, "/barrier", 2);
            DistributedDoubleBarrier theirs = new DistributedDoubleBarrier(other, "/barrier", 2);
            Thread peer = new Thread(() -> {
                try {
                    theirs.enter();
                    theirs.leave();
                } catch (Exception failure) {
                    failure.printStackTrace();
                }
            });
            peer.start();
            Lab.check(mine.enter(Lab.PATIENCE_MS, TimeUnit.MILLISECONDS), "never entered");
            Lab.check(mine.leave(Lab.PATIENCE_MS, TimeUnit.MILLISECONDS), "never left");
            peer.join();
            GroupMember alice = new GroupMember(client, "/group", "alice");
            GroupMember bob = new GroupMember(other, "/group", "bob");
            alice.start();
            bob.start();
            Lab.await("both members", () -> alice.getCurrentMembers().size() == 2);
            bob.close();
            Lab.await("one member", () -> alice.getCurrentMembers().size() == 1);
            alice.close();
        }
    }

    /** Curator replaces its connection string by what /zookeeper/config says: it must still work. */
    static void ensembleTracker(Lab lab) throws Exception {
        String first = lab.hosts.split(",")[0];
        try (CuratorFramework client = open(first, Lab.SESSION_MS, lab)) {
            client.create().withMode(CreateMode.EPHEMERAL).forPath("/e");
            Lab.await("the other servers", () -> client.getZookeeperClient()
                    .getCurrentConnectionString().split(",").length == 3);
            LinkedBlockingQueue<ConnectionState> states = states(client);
            lab.ask("kill");
            until(states, ConnectionState.RECONNECTED);
            Lab.check(client.checkExists().forPath("/e") != null, "/e is gone");
        } finally {
            lab.ask("restart");
        }
    }

    private Recipes() {}
}
