// node-zookeeper-client under the worker protocol of workers.py.
'use strict';

const assert = require('assert');
const path = require('path');
const readline = require('readline');
const util = require('util');

const zookeeper = require(path.join(process.argv[2], 'node-zookeeper-client'));

const SESSION_MS = 10000;
const SHORT_SESSION_MS = 2000;
const PATIENCE_MS = 30000;

const { CreateMode, Event, Exception, State } = zookeeper;
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(request) {
  console.log('@' + request);
  await lines.next();
}

/** Remembers what it is given until somebody asks for it. */
class Inbox {
  constructor() {
    this.items = [];
    this.wake = () => {};
  }

  put(item) {
    this.items.push(item);
    this.wake();
  }

  /** The next item that the predicate accepts; those before it are dropped. */
  async next(accepts = () => true) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      while (this.items.length > 0) {
        const item = this.items.shift();
        if (accepts(item)) {
          return item;
        }
      }
      assert(Date.now() < deadline, 'an event that never came');
      await new Promise((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, 1000);
      });
    }
  }
}

const METHODS = ['create', 'remove', 'setData', 'setACL', 'mkdirp', 'exists', 'getChildren'];

/** A connected client whose methods return promises; those with two results give an array. */
async function open(hosts, root, timeoutMs = SESSION_MS) {
  const options = { sessionTimeout: timeoutMs, spinDelay: 50, retries: 20 };
  const client = zookeeper.createClient(hosts + root, options);
  const zk = { client, states: new Inbox() };
  client.on('state', (state) => zk.states.put(state));
  for (const name of METHODS) {
    zk[name] = util.promisify(client[name].bind(client));
  }
  for (const name of ['getData', 'getACL', 'getChildren']) {
    zk[name] = (...values) => new Promise((resolve, reject) => {
      client[name](...values, (error, ...results) => (error ? reject(error) : resolve(results)));
    });
  }
  zk.commit = (transaction) => new Promise((resolve) => {
    transaction.commit((error, results) => resolve({ error, results }));
  });
  zk.close = async () => {
    client.close();
    await zk.states.next((state) => state === State.DISCONNECTED);
  };
  client.connect();
  await zk.states.next((state) => state === State.SYNC_CONNECTED);
  return zk;
}

async function refused(code, promise) {
  await assert.rejects(promise, (error) => {
    assert.strictEqual(error.getCode(), Exception[code]);
    return true;
  });
}

/** Waits until this client's server has the node: reads are local, and it has no sync. */
async function seen(zk, node) {
  const isThere = () => zk.exists(node).catch((error) => error.getCode() === Exception.NO_AUTH);
  while (!(await isThere())) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function watcher() {
  const inbox = new Inbox();
  const told = (event) => inbox.put(`${event.getName()} ${event.getPath()}`);
  return { inbox, told };
}

const scenarios = {
  async crud(lab) {
    const zk = await open(lab.hosts, lab.root);
    assert.strictEqual(await zk.create('/a', Buffer.from('one')), '/a');
    const [data, stat] = await zk.getData('/a');
    assert.strictEqual(data.toString(), 'one');
    assert.strictEqual(stat.version, 0);
    assert.strictEqual((await zk.setData('/a', Buffer.from('two'), 0)).version, 1);
    await zk.mkdirp('/a/b/c');
    assert.deepStrictEqual((await zk.getChildren('/a'))[0], ['b']);
    assert.strictEqual(await zk.exists('/nothing'), null);
    await refused('NODE_EXISTS', zk.create('/a'));
    await refused('NO_NODE', zk.create('/x/y'));
    await refused('BAD_VERSION', zk.setData('/a', Buffer.from('x'), 9));
    await refused('NOT_EMPTY', zk.remove('/a', -1));
    await zk.remove('/a/b/c', 0);
    await zk.close();
  },

  async createModes(lab) {
    const zk = await open(lab.hosts, lab.root);
    for (const [name, mode] of Object.entries(CreateMode)) {
      const made = await zk.create(`/${name}-`, mode);
      assert.strictEqual(/-\d{10}$/.test(made), name.endsWith('SEQUENTIAL'), made);
      const stat = await zk.exists(made);
      const owner = name.startsWith('EPHEMERAL') ? zk.client.getSessionId() : Buffer.alloc(8);
      assert(stat.ephemeralOwner.equals(owner), made);
    }
    await refused('NO_CHILDREN_FOR_EPHEMERALS', zk.create('/EPHEMERAL-/child'));
    await zk.close();
  },

  async watches(lab) {
    const zk = await open(lab.hosts, lab.root);
    const other = await open(lab.hosts, lab.root);
    await zk.create('/w');
    const data = watcher();
    const exists = watcher();
    const children = watcher();
    await zk.getData('/w', data.told);
    await zk.exists('/later', exists.told);
    await zk.getChildren('/w', children.told);
    await other.setData('/w', Buffer.from('1'), -1);
    await other.create('/later');
    await other.create('/w/c');
    assert.strictEqual(await data.inbox.next(), 'NODE_DATA_CHANGED /w');
    assert.strictEqual(await exists.inbox.next(), 'NODE_CREATED /later');
    assert.strictEqual(await children.inbox.next(), 'NODE_CHILDREN_CHANGED /w');
    await zk.close();
    await other.close();
  },

  async watchesAcrossReconnect(lab) {
    const near = await open(lab.hosts, lab.root);
    await near.create('/changed');
    await near.create('/kept');
    const far = await open(lab.relayed, lab.root);
    const changed = watcher();
    const created = watcher();
    const kept = watcher();
    await seen(far, '/kept');
    await far.getData('/changed', changed.told);
    await far.exists('/created', created.told);
    await far.getChildren('/kept', kept.told);
    await ask('cut');
    await far.states.next((state) => state === State.DISCONNECTED);
    await near.setData('/changed', Buffer.from('meanwhile'), -1);
    await near.create('/created');
    await ask('mend');
    await far.states.next((state) => state === State.SYNC_CONNECTED);
    assert.strictEqual(await changed.inbox.next(), 'NODE_DATA_CHANGED /changed');
    assert.strictEqual(await created.inbox.next(), 'NODE_CREATED /created');
    await near.create('/kept/child');
    assert.strictEqual(await kept.inbox.next(), 'NODE_CHILDREN_CHANGED /kept');
    await far.close();
    await near.close();
  },

  async transaction(lab) {
    const zk = await open(lab.hosts, lab.root);
    const good = zk.client.transaction().create('/t', Buffer.from('1'))
      .create('/t/e-', CreateMode.EPHEMERAL_SEQUENTIAL).setData('/t', Buffer.from('2'), 0)
      .check('/t', 1);
    const { error, results } = await zk.commit(good);
    assert.ifError(error);
    assert.strictEqual(results[1].path, '/t/e-0000000000');
    const bad = zk.client.transaction().create('/u').check('/t', 9);
    const failure = await zk.commit(bad);
    assert.strictEqual(failure.error.getCode(), Exception.BAD_VERSION);
    assert.strictEqual(await zk.exists('/u'), null);
    await zk.close();
  },

  async acls(lab) {
    const eve = await open(lab.hosts, lab.root);
    const other = await open(lab.hosts, lab.root);
    eve.client.addAuthInfo('digest', Buffer.from('eve:pass'));
    await eve.create('/mine', zookeeper.ACL.CREATOR_ALL_ACL);
    await eve.getData('/mine');
    await seen(other, '/mine');
    await refused('NO_AUTH', other.getData('/mine'));
    const [acls] = await eve.getACL('/mine');
    assert.strictEqual(acls[0].id.scheme, 'digest');
    const stat = await eve.setACL('/mine', zookeeper.ACL.READ_ACL_UNSAFE, 0);
    assert.strictEqual(stat.aversion, 1);
    await refused('NO_AUTH', other.setData('/mine', Buffer.from('x'), -1));
    await eve.close();
    await other.close();
  },

  async ephemerals(lab) {
    const zk = await open(lab.hosts, lab.root);
    const owner = await open(lab.hosts, lab.root);
    await owner.create('/e', CreateMode.EPHEMERAL);
    const gone = watcher();
    await seen(zk, '/e');
    await zk.exists('/e', gone.told);
    await owner.close();
    assert.strictEqual(await gone.inbox.next(), 'NODE_DELETED /e');
    await zk.close();
  },

  async sessionMoves(lab) {
    const zk = await open(lab.hosts, lab.root);
    await zk.create('/e', CreateMode.EPHEMERAL);
    const before = zk.client.getSessionId();
    await ask('kill');
    await zk.states.next((state) => state === State.DISCONNECTED);
    await zk.states.next((state) => state === State.SYNC_CONNECTED);
    assert(zk.client.getSessionId().equals(before));
    assert((await zk.exists('/e')).ephemeralOwner.equals(before));
    await zk.close();
    await ask('restart');
  },

  async expiry(lab) {
    const zk = await open(lab.relayed, lab.root, SHORT_SESSION_MS);
    await zk.create('/e', CreateMode.EPHEMERAL);
    await ask(`expire ${lab.root}/e`);
    await zk.states.next((state) => state === State.EXPIRED);
  },
};

async function verdict(name, lab) {
  try {
    await scenarios[name](lab);
    return 'PASS';
  } catch (failure) {
    console.error(failure);
    return `FAIL ${String(failure).replaceAll('\n', ' ')}`;
  }
}

async function main() {
  for (;;) {
    const { value, done } = await lines.next();
    if (done) {
      process.exit(0);
    }
    const [, name, hosts, relayed, root] = value.split(' ');
    console.log(await verdict(name, { hosts, relayed, root }));
  }
}

main();
