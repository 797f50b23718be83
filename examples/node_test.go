package examples_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// startNode starts one of the services written in JavaScript.
func startNode(t *testing.T, script string, args ...string) (address string) {
	t.Helper()
	needNode(t, "node")
	p := startCommand(t, exec.Command("node", append([]string{script, "--listen", "127.0.0.1:0"}, args...)...))
	return p.address("listening on")
}

// needNode skips a test where Node or the packages of a folder are not installed.
func needNode(t *testing.T, dir string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip(err)
	}
	if _, err := os.Stat(dir + "/node_modules"); err != nil {
		t.Skipf("its packages are not installed: npm ci --prefix examples/%s", dir)
	}
}

// runNode runs a program that ends by itself.
func runNode(t *testing.T, script string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	needNode(t, path.Dir(script))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return run(t, exec.CommandContext(ctx, "node", append([]string{script}, args...)...))
}

// Both read the same grammar and give the same answers, whatever is sent.
func TestNodeServicesRefuseWhatGoServicesRefuse(t *testing.T) {
	t.Parallel()
	node := "http://" + startNode(t, "node/http.mjs", "--trust", "cidr:127.0.0.0/8")
	_, whoami, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	with := func(header ...string) []string {
		return append([]string{"X-User-Id: alice", "X-User-Issuer: i"}, header...)
	}
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"a caller":                    {with("X-User-Kind: service", "X-User-Roles: a, b%2Cc", "X-User-Expires: 99999999999"), 200},
		"nobody":                      {nil, 401},
		"a field without a meaning":   {[]string{"X-User-Agent: x"}, 401},
		"a token alone":               {[]string{"Txn-Token: x"}, 401},
		"a token beside fields":       {with("Txn-Token: x"), 400},
		"no subject":                  {[]string{"X-User-Issuer: i"}, 400},
		"roles alone":                 {[]string{"X-User-Roles: admin"}, 400},
		"two subjects":                {with("X-User-Id: bob"), 400},
		"two lists of roles":          {with("X-User-Roles: viewer", "X-User-Roles: admin"), 400},
		"groups perhaps incomplete":   {with("X-User-Groups-Incomplete: maybe"), 400},
		"groups that are incomplete":  {with("X-User-Groups-Incomplete: true"), 200},
		"deferred work":               {[]string{"X-User-Deferred: x"}, 401},
		"deferred work beside fields": {with("X-User-Deferred: x"), 400},
		"an unknown kind":             {with("X-User-Kind: robot"), 400},
		"a kind in upper case":        {with("X-User-Kind: User"), 400},
		"an end that has come":        {with("X-User-Expires: 1700000000"), 401},
		"an end with an exponent":     {with("X-User-Expires: 9e10"), 400},
		"an end in hexadecimal":       {with("X-User-Expires: 0xffffffffff"), 400},
		"an end that is negative":     {with("X-User-Expires: -1"), 400},
		"an end after the year 9999":  {with("X-User-Expires: 253402300800"), 400},
		"an empty element":            {with("X-User-Roles: a,,b"), 400},
		"a list that ends in a comma": {with("X-User-Roles: a,"), 400},
		"a comma in a text":           {with("X-User-Name: a,b"), 400},
		"a tab within a text":         {with("X-User-Name: a\tb"), 400},
		"a broken escape":             {with("X-User-Name: 100%"), 400},
		"an escape that is not UTF-8": {with("X-User-Name: %FF"), 400},
		"a byte that is not ASCII":    {with("X-User-Name: zo\xeb"), 400},
		"UTF-8 that was not escaped":  {with("X-User-Groups: zo\xc3\xab"), 400},

		"all that services here do not use": {with("X-User-As-Of: 1", "X-User-Issued: 1", "X-User-Auth-Time: 1", "X-User-Acr: a", "X-User-Session: a",
			"X-User-Token-Id: a", "X-User-Amr: a, b", "X-User-Actor: i%20j  s t ,i s", "X-User-Extra: k=a=b, k = c"), 200},
		"a time that is none":          {with("X-User-As-Of: soon"), 400},
		"a time in fractions":          {with("X-User-Issued: 1.5"), 400},
		"a time with a sign":           {with("X-User-Auth-Time: +1"), 400},
		"a class with a comma":         {with("X-User-Acr: a,b"), 400},
		"a session with an escape":     {with("X-User-Session: %zz"), 400},
		"a token ID that is no ASCII":  {with("X-User-Token-Id: \xeb"), 400},
		"an empty method":              {with("X-User-Amr: pwd,,otp"), 400},
		"an actor without an issuer":   {with("X-User-Actor: s"), 400},
		"half an actor beside a whole": {with("X-User-Actor: i s, i"), 400},
		"an attribute without a key":   {with("X-User-Extra: =a"), 400},
		"an attribute without a value": {with("X-User-Extra: a="), 400},
		"an attribute without either":  {with("X-User-Extra: a"), 400},
		"two times":                    {with("X-User-As-Of: 1", "X-User-As-Of: 1"), 400},
		"two sessions":                 {with("X-User-Session: a", "X-User-Session: b"), 400},
		"two actors":                   {with("X-User-Actor: i s", "X-User-Actor: i t"), 400},
		"two sets of attributes":       {with("X-User-Extra: a=b", "X-User-Extra: c=d"), 400},
		"junk alone":                   {[]string{"X-User-Amr: ,"}, 400},
	} {
		challenge := map[string]string{}
		for service, url := range map[string]string{"Node": node, "Go": whoami} {
			r := send(t, "GET", url+"/whoami", c.header...)
			if r.status != c.want {
				t.Errorf("%s, %s: status %d, want %d; body %s", name, service, r.status, c.want, r.body)
			}
			challenge[service] = challengeOf(r)
		}
		if challenge["Node"] != challenge["Go"] {
			t.Errorf("%s: challenges %q", name, challenge)
		}
	}
}

func TestNodeServicesOfGRPCRefuseWhatGoServicesRefuse(t *testing.T) {
	t.Parallel()
	node := startNode(t, "node/grpc.mjs", "--trust", "cidr:127.0.0.0/8")
	_, _, whoami := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	endless := []string{"x-user-id", "alice", "x-user-issuer", "i"}
	alice := slices.Clip(append(endless, "x-user-expires", "99999999999"))
	for name, c := range map[string]struct {
		fields []string
		want   codes.Code
	}{
		"an admin":             {append(alice, "x-user-roles", "viewer,admin"), codes.OK},
		"another":              {append(alice, "x-user-roles", "viewer"), codes.PermissionDenied},
		"two lists of roles":   {append(alice, "x-user-roles", "viewer", "x-user-roles", "admin"), codes.Unauthenticated},
		"the same list twice":  {append(alice, "x-user-roles", "admin", "x-user-roles", "admin"), codes.Unauthenticated},
		"two subjects":         {append(alice, "x-user-id", "bob", "x-user-roles", "admin"), codes.Unauthenticated},
		"a token beside":       {append(alice, "x-user-roles", "admin", "txn-token", "x"), codes.Unauthenticated},
		"deferred work beside": {append(alice, "x-user-roles", "admin", "x-user-deferred", "x"), codes.Unauthenticated},
		"two sessions":         {append(alice, "x-user-roles", "admin", "x-user-session", "a", "x-user-session", "a"), codes.Unauthenticated},
		"an actor by halves":   {append(alice, "x-user-roles", "admin", "x-user-actor", "i"), codes.Unauthenticated},
		"nobody":               {nil, codes.Unauthenticated},
		"nothing and a role":   {append(alice, "x-user-roles", ", admin"), codes.Unauthenticated},
		"nothing among roles":  {append(alice, "x-user-roles", "viewer,, admin"), codes.Unauthenticated},
		"an end and a space":   {append(endless, "x-user-roles", "admin", "x-user-expires", "1700000000 "), codes.Unauthenticated},
	} {
		for service, address := range map[string]string{"Node": node, "Go": whoami} {
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs(c.fields...))
			if _, err := pb.NewWhoAmIClient(dial(t, address)).Admin(ctx, &pb.AdminRequest{}); status.Code(err) != c.want {
				t.Errorf("%s, %s: %v, want %v", name, service, err, c.want)
			}
		}
	}
}

// A service there cannot see what Node dropped or joined, so it refuses what may be the
// rest of more, though a service in Go takes it.
func TestANodeServiceOfGRPCRefusesWhatMayHaveBeenMore(t *testing.T) {
	t.Parallel()
	node := startNode(t, "node/grpc.mjs", "--trust", "cidr:127.0.0.0/8")
	_, _, whoami := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	endless := []string{"x-user-id", "alice", "x-user-issuer", "i"}
	for name, fields := range map[string][]string{
		"no end":              endless,
		"an end with a space": append(endless, "x-user-expires", "99999999999 "),
		"roles with a space":  append(endless, "x-user-expires", "99999999999", "x-user-roles", "viewer, admin"),
	} {
		for address, want := range map[string]codes.Code{node: codes.Unauthenticated, whoami: codes.OK} {
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs(fields...))
			if _, err := pb.NewWhoAmIClient(dial(t, address)).Get(ctx, &pb.GetRequest{}); status.Code(err) != want {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
	}
}

func TestANodeServiceOfGRPCTellsWhyAStreamIsRefused(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	chat, err := pb.NewWhoAmIClient(dial(t, startNode(t, "node/grpc.mjs", "--trust", "cidr:127.0.0.0/8"))).Chat(ctx)
	if err == nil {
		_, err = chat.Recv()
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stream of nobody: %v", err)
	}
}

// Who sends very many fields must not choose which of the gateway's are dropped.
func TestANodeServiceSeesAllOfTheCallerOrNothing(t *testing.T) {
	t.Parallel()
	node := startNode(t, "node/http.mjs", "--trust", "cidr:127.0.0.0/8")
	for n := 985; n <= 1005; n += 4 {
		header := []string{"X-User-Id: batch", "X-User-Issuer: i", "X-User-Kind: service", "X-User-Roles: editor"}
		for i := range n {
			header = append([]string{fmt.Sprintf("A%d: x", i)}, header...)
		}
		r := send(t, "GET", "http://"+node+"/whoami", header...)
		if got := decode(t, r); r.status != 200 || got.Kind != "service" || !slices.Equal(got.Roles, []string{"editor"}) {
			t.Errorf("with %d more fields: status %d, body %s", n, r.status, r.body)
		}
	}
}

// A service in another language sees what a service in Go sees.
func TestNodeServicesReadTheCaller(t *testing.T) {
	t.Parallel()
	for _, forward := range []string{"fields", "txn"} {
		t.Run(forward, func(t *testing.T) {
			internal := freeAddress(t)
			trust := map[string]string{
				"fields": "cidr:127.0.0.0/8",
				"txn":    "txn:http://" + internal + "/.well-known/jwks.json",
			}[forward]
			nodeHTTP, nodeGRPC := startNode(t, "node/http.mjs", "--trust", trust), startNode(t, "node/grpc.mjs", "--trust", trust)
			args := []string{"-upstream", "http://" + nodeHTTP, "-grpc-upstream", nodeGRPC, "-forward", forward, "-leeway", "0s"}
			if forward == "txn" {
				args = append(args, "-internal-listen", internal)
			}
			s := startGateway(t, startProvider(t), args...)
			s.waitReady(t)
			token := s.token(t, map[string]any{"name": "Zoë, 100%", "groups": []string{"on call", "a,b"}})

			r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+token, "X-User-Roles: admin")
			got := decode(t, r)
			if r.status != 200 || got.Subject != "testuser" || got.Issuer != s.issuer || got.Name != "Zoë, 100%" ||
				got.Tenant != "acme" || !slices.Equal(got.Roles, []string{"user"}) ||
				!slices.Equal(got.Permissions, []string{"orders:read"}) || !slices.Equal(got.Scopes, []string{"orders", "profile"}) ||
				!slices.Equal(got.Groups, []string{"on call", "a,b"}) {
				t.Errorf("status %d, body %s", r.status, r.body)
			}
			if r := send(t, "GET", s.url+"/admin", "Authorization: Bearer "+token); r.status != 403 {
				t.Errorf("admin: status %d", r.status)
			}
			if r := send(t, "GET", "http://"+nodeHTTP+"/whoami", "Authorization: Bearer "+token, "Txn-Token: "+token); r.status != 401 {
				t.Errorf("around the gateway: status %d, body %s", r.status, r.body)
			}

			client := pb.NewWhoAmIClient(dial(t, s.address))
			c, err := client.Get(as(t, token), &pb.GetRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if c.Subject != "testuser" || c.Issuer != s.issuer || c.Name != "Zoë, 100%" || !slices.Equal(c.Groups, got.Groups) {
				t.Errorf("over gRPC it saw %v", c)
			}
			if _, err := client.Admin(as(t, token), &pb.AdminRequest{}); status.Code(err) != codes.PermissionDenied {
				t.Errorf("Admin: %v", err)
			}
			chatOnce(t, client, as(t, token))
			soon := time.Now().Add(3 * time.Second).Unix()
			chat, err := client.Chat(as(t, s.token(t, map[string]any{"exp": soon})))
			if err != nil {
				t.Fatal(err)
			}
			if _, err = chat.Recv(); status.Code(err) != codes.Unauthenticated {
				t.Errorf("at the end of the caller's time: %v", err)
			}
			_, err = pb.NewWhoAmIClient(dial(t, nodeGRPC)).Get(as(t, token), &pb.GetRequest{})
			if status.Code(err) != codes.Unauthenticated {
				t.Errorf("around the gateway: %v", err)
			}
		})
	}
}
