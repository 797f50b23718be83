package examples_test

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

func TestNodeProgramsExplainTheirFlags(t *testing.T) {
	t.Parallel()
	for script, flags := range map[string][]string{
		"node/http.mjs":       {"--listen", "--trust", "--trust-domain", "--help"},
		"node/grpc.mjs":       {"--listen", "--trust", "--trust-domain", "--help"},
		"openid/provider.mjs": {"--listen", "--tls", "--ca", "--client", "--help"},
		"openid/client.mjs":   {"ISSUER", "SECRET", "RESOURCE", "URL"},
	} {
		for _, help := range []string{"-h", "--help"} {
			code, stdout, stderr := runNode(t, script, help)
			if code != 0 {
				t.Errorf("%s %s: exit status %d, standard error %q", script, help, code, stderr)
			}
			for _, name := range flags {
				if !strings.Contains(stdout, name) {
					t.Errorf("%s %s does not explain %s:\n%s", script, help, name, stdout)
				}
			}
		}
	}
}

func TestNodeProgramsRefuseBadFlags(t *testing.T) {
	t.Parallel()
	for script, tries := range map[string]map[string]string{
		"node/http.mjs": {
			"":                          "--trust is required",
			"--trust cidr:127.0.0.1/33": "--trust cidr:127.0.0.1/33: want ADDRESS/BITS",
			"--trust txn:https://keys.example --trust-domain=":          "--trust-domain : want a name",
			"--trust cidr:127.0.0.0/8 --trust-domain a.example":         "--trust-domain needs --trust txn:JWKS-URL",
			"--trust cidr:127.0.0.0/8 --trust txn:https://keys.example": "--trust is given 2 times",
			"--trust cidr:127.0.0.0/8 --listen 8082":                    "--listen 8082: want HOST:PORT",
			"--trust cidr:127.0.0.0/8 --listen a:99999":                 "--listen a:99999: want HOST:PORT",
			"--nonsense": "--nonsense",
			"nonsense":   "nonsense",
		},
		"node/grpc.mjs": {"": "--trust is required", "--trust cidr:127.0.0.1": "want ADDRESS/BITS"},
		"openid/provider.mjs": {
			"--nonsense":             "--nonsense",
			"--listen 9000":          "--listen 9000: want HOST:PORT",
			"--ca a.pem":             "--ca needs --tls",
			"--client a.pem":         "--client needs --tls",
			"--tls /nonexistent.pem": "--tls /nonexistent.pem: the file cannot be read",
			"--tls " + os.DevNull:    "--tls " + os.DevNull + ": want a certificate in PEM",
		},
		"openid/client.mjs": {"": "ISSUER", "https://idp.example": "ISSUER", "idp s3cret api https://api.example": "ISSUER"},
	} {
		for args, says := range tries {
			code, stdout, stderr := runNode(t, script, strings.Fields(args)...)
			if code != 2 || stdout != "" || !strings.Contains(stderr, says) || strings.Contains(stderr, "    at ") || strings.Contains(stderr, "s3cret") {
				t.Errorf("%s %s: exit status %d, standard output %q, standard error %q", script, args, code, stdout, stderr)
			}
		}
	}
}

// Starting Node takes longer than all of these together.
func TestNodeServicesRefuseTrustThatCannotBe(t *testing.T) {
	t.Parallel()
	const notATrust, notACIDR, notAURL = "--trust is required", "want ADDRESS/BITS", "--trust txn: want an https URL"
	const script = `
		import { trust } from './node/identity.mjs'
		function said([how, domain]) {
			try {
				trust(how, domain || undefined)
				return 'it is taken'
			} catch (error) {
				return error.message
			}
		}
		console.log(JSON.stringify(JSON.parse(process.argv[1]).map(said)))`
	tries := [][3]string{ // --trust, --trust-domain, and what is said
		{"everybody", "", notATrust},
		{"cidr:", "", notATrust},
		{"cidr:127.0.0.1", "", "--trust cidr:127.0.0.1: " + notACIDR},
		{"cidr:127.0.0.1/", "", "--trust cidr:127.0.0.1/: " + notACIDR},
		{"cidr:localhost/8", "", notACIDR},
		{"cidr:0.0.0.0/0", "", notACIDR},
		{"cidr:0.0.0.0/00", "", notACIDR},
		{"cidr:::/0", "", notACIDR},
		{"cidr:::ffff:10.0.0.0/104", "", notACIDR},
		{"cidr:::ffff:0:0/90", "", notACIDR},
		{"cidr:fe80::1%lo/128", "", notACIDR},
		{"txn:keys", "", notAURL},
		{"txn:http://keys.example", "", notAURL},
		{"txn:http://127.0.0.1.a.test", "", notAURL},
		{"txn:file:///etc/passwd", "", notAURL},
		{"txn:http://id:s3cret@keys.example", "", notAURL},
		{"txn:http://127.0.0.1:65536/keys", "", notAURL},
		{"txn:https://id:s3cret@keys.example", "", "--trust txn: the URL holds a user name"},
		{"txn:http://127.0.0.1:0/keys", "", "--trust txn: the URL has a port that cannot be"},
		{"txn:https://keys.example", "spiffe://a.example", "--trust-domain spiffe://a.example: want a name"},
		{"txn:https://keys.example", "A.example", "--trust-domain A.example: want a name"},
	}
	asked, err := json.Marshal(tries)
	if err != nil {
		t.Fatal(err)
	}
	needNode(t, "node")
	code, stdout, stderr := run(t, exec.CommandContext(t.Context(), "node", "--input-type=module", "-e", script, string(asked)))
	var said []string
	if err := json.Unmarshal([]byte(stdout), &said); err != nil || len(said) != len(tries) {
		t.Fatalf("exit status %d, standard output %q, standard error %q", code, stdout, stderr)
	}
	for i, try := range tries {
		if !strings.Contains(said[i], try[2]) || strings.Contains(said[i], "s3cret") {
			t.Errorf("--trust %s --trust-domain %s: %q", try[0], try[1], said[i])
		}
	}
}

func TestNodeProgramsSayThatAnAddressIsTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for script, args := range map[string][]string{
		"node/http.mjs": {"--trust", "cidr:127.0.0.0/8"}, "node/grpc.mjs": {"--trust", "cidr:127.0.0.0/8"}, "openid/provider.mjs": nil,
	} {
		code, stdout, stderr := runNode(t, script, append(args, "--listen", l.Addr().String())...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "--listen "+l.Addr().String()+": ") || strings.Contains(stderr, "    at ") {
			t.Errorf("%s: exit status %d, standard output %q, standard error %q", script, code, stdout, stderr)
		}
	}
}

// In a list of IPv6 addresses, Node finds those of IPv4 too.
func TestNodeServicesDoNotTrustIPv4ForAnIPv6Prefix(t *testing.T) {
	t.Parallel()
	address := startNode(t, "node/http.mjs", "--trust", "cidr:::/64")
	if r := send(t, "GET", "http://"+address+"/whoami", "X-User-Id: alice", "X-User-Issuer: i"); r.status != 401 {
		t.Errorf("status %d, body %s", r.status, r.body)
	}
}

func TestNodeServicesListenOnIPv6(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip(err)
	} else {
		l.Close()
	}
	const trust = "cidr:::1/128"
	http := startNode(t, "node/http.mjs", "--listen", "[::1]:0", "--trust", trust)
	if r := send(t, "GET", "http://"+http+"/whoami", "X-User-Id: alice", "X-User-Issuer: i"); r.status != 200 {
		t.Errorf("status %d, body %s", r.status, r.body)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user-id", "alice", "x-user-issuer", "i", "x-user-expires", "99999999999")
	grpc := startNode(t, "node/grpc.mjs", "--listen", "[::1]:0", "--trust", trust)
	if _, err := pb.NewWhoAmIClient(dial(t, grpc)).Get(ctx, &pb.GetRequest{}); err != nil {
		t.Error(err)
	}
}

// Neither must a client that never finishes its request, or never hangs up.
func TestNodeServicesStopWithASlowClient(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	for _, c := range []struct{ script, sent string }{
		{"node/http.mjs", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n"},
		{"node/grpc.mjs", preface[:16]},
		{"node/grpc.mjs", preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"}, // empty settings
	} {
		p := startCommand(t, exec.Command("node", c.script, "--listen", "127.0.0.1:0", "--trust", "cidr:127.0.0.0/8"))
		conn, err := net.Dial("tcp", p.address("listening on"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, c.sent); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil { // the service knows of the client
			t.Fatal(err)
		}
		start := time.Now()
		p.signal(syscall.SIGTERM)
		if code := p.wait(); code != 0 || time.Since(start) > 30*time.Second {
			t.Errorf("%s, %q: exit status %d after %v", c.script, c.sent, code, time.Since(start))
		}
	}
}

// A caller who holds on to a stream must not keep the service from ending.
func TestNodeServicesStopWithAStreamOpen(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := startCommand(t, exec.Command("node", "node/grpc.mjs", "--listen", "127.0.0.1:0", "--trust", "cidr:127.0.0.0/8"))
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user-id", "alice", "x-user-issuer", "i", "x-user-expires", "99999999999")
		chat, err := pb.NewWhoAmIClient(dial(t, p.address("listening on"))).Chat(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := chat.Send(&pb.ChatMessage{Text: "a"}); err != nil {
			t.Fatal(err)
		}
		if _, err := chat.Recv(); err != nil {
			t.Fatal(err)
		}
		p.signal(signal)
		p.wait()
	}
}
