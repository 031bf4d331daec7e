package explain

import (
	"fmt"
	"strconv"
	"strings"

	"lb/admin/api"
	"lb/config"
	"lb/internal/redact"
	"lb/proxy/record"
	"lb/proxy/route"
)

// routes says what each route says, and how the path is read.
func (f *Facts) routes(out *api.Explained) {
	out.Route = f.Route + 1
	if f.Router == nil {
		return
	}
	r := &f.Came
	host, path := r.Message.Authority.Of(r.Text), r.Message.Path.Of(r.Text)
	readings := f.Router.Readings(host, path, r)
	if len(readings) > 1 {
		for _, one := range readings {
			out.Readings = append(out.Readings, api.ExplainedReading{Form: one.Form.String(), Path: one.Path, Route: one.Route + 1})
		}
	}
	for i := range f.Config.Routes {
		to := &f.Config.Routes[i]
		one := api.ExplainedRoute{Number: i + 1, Name: nameOf(to), To: f.leadsTo(to), Taken: i == f.Route}
		if one.Taken {
			one.Why = "takes it"
		} else {
			one.Why = f.whyNot(i, readings)
		}
		out.Routes = append(out.Routes, one)
	}
}

// nameOf returns the conditions of a route.
func nameOf(rt *config.Route) string {
	name := rt.Host + rt.Path
	if rt.Scheme != "" {
		name += " " + rt.Scheme
	}
	if len(rt.Methods) > 0 {
		name += " " + strings.Join(rt.Methods, ",")
	}
	for _, h := range rt.Headers {
		name += " " + condition(h)
	}
	return name
}

// condition returns a field that a route matches, without a credential.
func condition(h config.Field) string {
	if redact.Secret(h.Name) {
		return h.Name + "=" + redact.Mark
	}
	return h.Name + "=" + strconv.Quote(h.Value)
}

func (f *Facts) leadsTo(rt *config.Route) string {
	if rt.Pool < 0 {
		return fmt.Sprintf("redirect %d to %s", rt.Redirect.Code, redact.URL(rt.Redirect.To))
	}
	return "pool " + f.Config.Pools[rt.Pool].Name
}

// whyNot returns the first reason why route i does not take the request.
func (f *Facts) whyNot(i int, readings []route.Reading) string {
	decisive := readings[0]
	var elsewhere []string
	for _, one := range readings {
		if f.Route >= 0 && one.Route == f.Route && decisive.Route != f.Route {
			decisive = one
		}
		if one.Route == i {
			elsewhere = append(elsewhere, one.Form.String())
		}
	}
	if len(elsewhere) > 0 {
		return "takes it only if the path is read " + strings.Join(elsewhere, ", or ")
	}
	r, rt := &f.Came, &f.Config.Routes[i]
	switch f.Router.Says(i, f.Config.Routes, r.Message.Authority.Of(r.Text), []byte(decisive.Path), r) {
	case route.OtherHost:
		return fmt.Sprintf("host: it is for %s", rt.Host)
	case route.OtherPath:
		return fmt.Sprintf("path: it is for %s", rt.Path)
	case route.OtherScheme:
		return fmt.Sprintf("scheme: it is for %s", rt.Scheme)
	case route.OtherMethod:
		return fmt.Sprintf("method: it is for %s", strings.Join(rt.Methods, ", "))
	case route.OtherHeader:
		for _, h := range rt.Headers {
			if !r.HeaderIs(h.Name, h.Value) {
				return "header: it needs " + condition(h)
			}
		}
	}
	if decisive.Route < 0 || f.Fault.Cause == record.CauseAmbiguous && f.Route < 0 {
		return "the readings of the path do not agree"
	}
	return f.beaten(rt, decisive.Route)
}

// beaten says why the route with the index better goes before rt, which would take the
// request, too.
func (f *Facts) beaten(rt *config.Route, better int) string {
	switch b := &f.Config.Routes[better]; {
	case b.Host != rt.Host:
		return fmt.Sprintf("would take it, but the host of route %d is more exact", better+1)
	case b.Path != rt.Path:
		return fmt.Sprintf("would take it, but the path of route %d is longer", better+1)
	}
	return fmt.Sprintf("would take it, but route %d comes before it in the file", better+1)
}
