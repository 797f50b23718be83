package examples_test

import (
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

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
			"":                                                 "--trust is required",
			"--trust everybody":                                "--trust is required",
			"--trust cidr:":                                    "--trust is required",
			"--trust cidr:127.0.0.1":                           "cidr:127.0.0.1: want ADDRESS/BITS",
			"--trust cidr:127.0.0.1/":                          "cidr:127.0.0.1/: want ADDRESS/BITS",
			"--trust cidr:127.0.0.1/33":                        "want ADDRESS/BITS",
			"--trust cidr:localhost/8":                         "want ADDRESS/BITS",
			"--trust cidr:0.0.0.0/0":                           "want ADDRESS/BITS",
			"--trust cidr:0.0.0.0/00":                          "want ADDRESS/BITS",
			"--trust cidr:::/0":                                "want ADDRESS/BITS",
			"--trust txn:keys":                                 "want an https URL",
			"--trust txn:http://keys.example":                  "want an https URL",
			"--trust txn:http://127.0.0.1.a.test":              "want an https URL",
			"--trust txn:file:///etc/passwd":                   "want an https URL",
			"--trust txn:https://keys.example --trust-domain=": "--trust-domain is required",
			"--trust cidr:127.0.0.0/8 --listen 8082":           "--listen 8082: want HOST:PORT",
			"--trust cidr:127.0.0.0/8 --listen a:99999":        "--listen a:99999: want HOST:PORT",
			"--nonsense":                                       "--nonsense",
			"nonsense":                                         "nonsense",
		},
		"node/grpc.mjs":       {"": "--trust is required", "--trust cidr:127.0.0.1": "want ADDRESS/BITS"},
		"openid/provider.mjs": {"--nonsense": "--nonsense", "--listen 9000": "--listen 9000: want HOST:PORT"},
		"openid/client.mjs":   {"": "ISSUER", "https://idp.example": "ISSUER"},
	} {
		for args, says := range tries {
			code, stdout, stderr := runNode(t, script, strings.Fields(args)...)
			if code != 2 || stdout != "" || !strings.Contains(stderr, says) || strings.Contains(stderr, "    at ") {
				t.Errorf("%s %s: exit status %d, standard output %q, standard error %q", script, args, code, stdout, stderr)
			}
		}
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
