package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// story is a client of the system and what it has at hand.
type story struct {
	*client
	*system
	tokenLife time.Duration
}

// tell walks through the story. It fails if any step came out otherwise.
func (s *system) tell(ctx context.Context, out io.Writer, tokenLife time.Duration) error {
	transport := &http.Transport{TLSClientConfig: s.ca.Anonymous()}
	defer transport.CloseIdleConnections()
	t := &story{&client{out: out, http: &http.Client{Transport: transport}}, s, tokenLife}
	for _, step := range []func(context.Context) error{
		t.withoutToken, t.logIn, t.listUsers, t.createOrder, t.forgeRole, t.goAround, t.goAroundGRPC, t.expire,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("step %d: %w", t.steps, err)
		}
	}
	if t.wrong > 0 {
		return fmt.Errorf("%d of the answers were not as expected", t.wrong)
	}
	fmt.Fprintln(out, "\nEvery step came out as it should.")
	return nil
}

func (t *story) withoutToken(ctx context.Context) error {
	t.step("Without a token, the gateway refuses")
	a, err := t.call(ctx, request{method: "GET", url: t.gatewayURL() + "/users"})
	if err != nil {
		return err
	}
	t.wantStatus(a, http.StatusUnauthorized)
	t.want("the challenge", a.header.Get("WWW-Authenticate"), `Bearer realm="quickstart"`)
	return nil
}

func (t *story) logIn(ctx context.Context) error {
	t.step("Logging in takes the right password")
	wrong := t.login("testuser")
	wrong.body = `{"username":"testuser","password":"guess"}`
	a, err := t.call(ctx, wrong)
	if err != nil {
		return err
	}
	t.wantStatus(a, http.StatusUnauthorized)
	t.want("the error", a.field("error"), "invalid_grant")
	if a, err = t.call(ctx, t.login("testuser")); err != nil {
		return err
	}
	t.wantStatus(a, http.StatusOK)
	t.want("the token type", a.field("token_type"), "Bearer")
	t.want("the token's life", a.field("expires_in"), fmt.Sprint(int(t.tokenLife.Seconds())))
	return nil
}

func (t *story) listUsers(ctx context.Context) error {
	t.step("With a token, GET /users is answered by a gRPC service that knows the caller")
	a, err := t.callAs(ctx, "testuser", request{method: "GET", url: t.gatewayURL() + "/users"})
	if err != nil {
		return err
	}
	t.wantStatus(a, http.StatusOK)
	t.want("who asked, as the service saw it,", a.field("requested_by"), "u-1001")
	return nil
}

func (t *story) createOrder(ctx context.Context) error {
	t.step("The orders service lets nobody order without the permission orders:create")
	order := request{method: "POST", url: t.gatewayURL() + "/orders", body: `{"item":"tea"}`}
	a, err := t.callAs(ctx, "testuser", order)
	if err != nil {
		return err
	}
	t.wantStatus(a, http.StatusForbidden)

	t.step("With the permission, the order is made")
	if a, err = t.callAs(ctx, "testbuyer", order); err != nil {
		return err
	}
	t.wantStatus(a, http.StatusCreated)
	t.want("who ordered, as the service saw it,", a.field("ordered_by"), "u-1002")
	return nil
}

func (t *story) forgeRole(ctx context.Context) error {
	t.step("A forged X-User-Roles: admin changes nothing")
	forged := []string{"X-User-Roles: admin", "x_user_permissions: orders:create", "Connection: x-user-id"}
	a, err := t.callAs(ctx, "testuser", request{method: "GET", url: t.gatewayURL() + "/orders", header: forged})
	if err != nil {
		return err
	}
	t.wantStatus(a, http.StatusOK)
	t.want("the caller, as the service saw it,", a.field("caller"), "u-1001")
	t.want("the caller's roles, as the service saw them,", a.field("caller_roles"), "[user]")
	if a, err = t.callAs(ctx, "testuser", request{method: "DELETE", url: t.gatewayURL() + "/orders/1", header: forged}); err != nil {
		return err
	}
	t.wantStatus(a, http.StatusForbidden)
	return nil
}

func (t *story) goAround(ctx context.Context) error {
	t.step("Around the gateway, the orders service believes neither fields nor tokens")
	around := request{method: "GET", url: t.ordersURL() + "/orders", header: []string{
		"X-User-Id: u-1002", "X-User-Issuer: " + t.gateway.issuer, "X-User-Permissions: orders:read"}}
	a, err := t.call(ctx, around)
	if err != nil {
		return err
	}
	t.wantStatus(a, http.StatusUnauthorized)
	around.header = nil
	if a, err = t.callAs(ctx, "testuser", around); err != nil {
		return err
	}
	t.wantStatus(a, http.StatusUnauthorized)
	return nil
}

func (t *story) goAroundGRPC(ctx context.Context) error {
	t.step("Nor does the users service over gRPC")
	conn, err := grpc.NewClient(t.users(), grpc.WithTransportCredentials(credentials.NewTLS(t.ca.Anonymous())))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	forged := metadata.AppendToOutgoingContext(ctx, "x-user-id", "u-1001",
		"x-user-issuer", t.gateway.issuer, "x-user-permissions", "users:read")
	t.print("  > ", "gRPC "+t.users()+" "+pb.Users_List_FullMethodName)
	t.print("  > ", "x-user-id: u-1001, x-user-permissions: users:read")
	_, err = pb.NewUsersClient(conn).List(forged, &pb.ListUsersRequest{})
	t.print("  < ", status.Code(err).String()+": "+status.Convert(err).Message())
	t.want("the status", status.Code(err).String(), "Unauthenticated")
	return nil
}

func (t *story) expire(ctx context.Context) error {
	t.step(fmt.Sprintf("A token is good for %v, and then no more", t.tokenLife))
	asked := time.Now()
	token, err := t.token(ctx, "testuser")
	if err != nil {
		return err
	}
	got := time.Now() // its life began in between
	list := request{method: "GET", url: t.gatewayURL() + "/users", token: token}
	a, err := t.call(ctx, list)
	if err != nil {
		return err
	}
	t.wantStatus(a, http.StatusOK)
	fmt.Fprintln(t.out, "  ... asking again until the answer changes")
	for a.status == http.StatusOK && time.Since(got) < t.tokenLife {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
		if a, err = t.do(ctx, list); err != nil {
			return err
		}
	}
	lasted := time.Since(asked)
	fmt.Fprintf(t.out, "  ... it changed after %v\n", time.Since(got).Round(100*time.Millisecond))
	// Times in tokens are whole seconds, so the end may come up to one early.
	t.want("its having lasted that long", fmt.Sprint(lasted >= t.tokenLife-time.Second), "true")
	if a, err = t.call(ctx, list); err != nil {
		return err
	}
	t.wantStatus(a, http.StatusUnauthorized)
	t.want("the reason", a.field("reason"), "token_expired")
	return nil
}

// login is the request for a token of one of the demo users.
func (t *story) login(name string) request {
	return request{method: "POST", url: t.gatewayURL() + "/auth/login",
		body: fmt.Sprintf(`{"username":%q,"password":"testpass"}`, name)}
}

// token logs in without a word.
func (t *story) token(ctx context.Context, name string) (string, error) {
	a, err := t.do(ctx, t.login(name))
	if err != nil {
		return "", err
	}
	token := a.field("access_token")
	if token == "" {
		return "", errors.New("no token came back from the login")
	}
	return token, nil
}

// callAs makes a request with a fresh token.
func (t *story) callAs(ctx context.Context, name string, r request) (answer, error) {
	token, err := t.token(ctx, name)
	if err != nil {
		return answer{}, err
	}
	r.token = token
	return t.call(ctx, r)
}
