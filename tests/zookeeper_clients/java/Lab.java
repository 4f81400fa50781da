import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;

/** The worker protocol of workers.py: runs scenarios by name, Class.method, one after the other. */
public final class Lab {
    /** Of sessions that must live through whatever happens. */
    static final int SESSION_MS = 10_000;
    /** Of sessions whose end is awaited. */
    static final int SHORT_SESSION_MS = 2_000;
    static final long PATIENCE_MS = 30_000;

    private static final BufferedReader IN =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    /** Servers directly. */
    final String hosts;
    /** Servers through the network that can be cut. */
    final String relayed;
    /** Path of an empty node of the scenario's own. */
    final String root;

    private Lab(String hosts, String relayed, String root) {
        this.hosts = hosts;
        this.relayed = relayed;
        this.root = root;
    }

    public static void main(String[] arguments) throws Exception {
        String line;
        while ((line = IN.readLine()) != null) {
            String[] words = line.split(" ");
            System.out.println(verdict(words[1], new Lab(words[2], words[3], words[4])));
        }
        System.exit(0);
    }

    private static String verdict(String name, Lab lab) throws Exception {
        int dot = name.indexOf('.');
        Class<?> scenarios = Class.forName(name.substring(0, dot));
        Method scenario = scenarios.getDeclaredMethod(name.substring(dot + 1), Lab.class);
        try {
            scenario.invoke(null, lab);
            return "PASS";
        } catch (InvocationTargetException failure) {
            failure.getCause().printStackTrace();
            return "FAIL " + String.valueOf(failure.getCause()).replace('\n', ' ');
        }
    }

    /** Asks the test for what a client cannot do, and waits until it is done. */
    void ask(String request) throws IOException {
        System.out.println("@" + request);
        IN.readLine();
    }

    static void check(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static void equal(Object actual, Object expected) {
        check(expected.equals(actual), "expected " + expected + ", got " + actual);
    }

    /** Waits until the condition holds; an exception counts as not yet. */
    static void await(String what, Callable<Boolean> condition) throws InterruptedException {
        long deadline = System.nanoTime() + PATIENCE_MS * 1_000_000;
        Exception last = null;
        while (System.nanoTime() < deadline) {
            try {
                if (condition.call()) {
                    return;
                }
            } catch (Exception notYet) {
                last = notYet;
            }
            Thread.sleep(10);
        }
        throw new AssertionError("in vain: " + what, last);
    }

    interface Attempt {
        void run() throws Exception;
    }

    /** Runs what must fail with exactly this class of exception. */
    static void refused(Class<? extends Exception> kind, Attempt attempt) throws Exception {
        try {
            attempt.run();
        } catch (Exception refusal) {
            check(refusal.getClass() == kind, "expected " + kind.getName() + ", got " + refusal);
            return;
        }
        throw new AssertionError("expected " + kind.getName() + ", got an answer");
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
