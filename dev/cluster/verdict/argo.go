package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

// luaTimeout is the time after which Argo CD interrupts a script.
const luaTimeout = time.Second

// runLua runs a script as Argo CD does, with the object as the global "obj"; it returns the table that the script
// returned.
func runLua(object *unstructured.Unstructured, script string) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	openLibraries(state)
	ctx, cancel := context.WithTimeout(context.Background(), luaTimeout)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	returned, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return nil, fmt.Errorf("the script returned %s instead of a table", state.Get(-1).Type())
	}
	encoded, err := luajson.Encode(returned)
	if err != nil {
		return nil, err
	}
	var value any
	err = json.Unmarshal(encoded, &value)
	return value, err
}

// openLibraries opens the libraries that Argo CD opens for scripts from its ConfigMap: package, base and table. Scripts
// that require os get its functions time and date. The libraries string and math are not available.
func openLibraries(state *lua.LState) {
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable},
	} {
		state.Push(state.NewFunction(library.open))
		state.Push(lua.LString(library.name))
		state.Call(1, 0)
	}
	state.PreloadModule(lua.OsLibName, loadSafeOs)
}

func loadSafeOs(state *lua.LState) int {
	elsewhere := lua.NewState(lua.Options{SkipOpenLibs: true}) // in state, it would become a global
	defer elsewhere.Close()
	lua.OpenOs(elsewhere)
	whole, safe := elsewhere.CheckTable(-1), state.NewTable()
	for _, name := range []string{"time", "date"} {
		safe.RawSetString(name, state.NewFunction(whole.RawGetString(name).(*lua.LFunction).GFunction))
	}
	state.Push(safe)
	return 1
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.CreateTable(len(value), 0)
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

func health(object *unstructured.Unstructured, script string) (*reading, error) {
	returned, err := runLua(object, script)
	if err != nil {
		return nil, err
	}
	table, _ := returned.(map[string]any)
	status, _ := table["status"].(string)
	message, _ := table["message"].(string)
	switch status {
	case "Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown":
		return &reading{status, message}, nil
	}
	return nil, fmt.Errorf("health.lua returned the status %q, which Argo CD does not know", status)
}

func act(object *unstructured.Unstructured, script string) (any, error) {
	returned, err := runLua(object, script)
	if err != nil {
		return nil, err
	}
	return restoreEmpty(returned, object.Object), nil
}

// restoreEmpty restores empty objects, which Lua cannot distinguish from empty lists, as Argo CD does.
func restoreEmpty(changed, before any) any {
	switch changed := changed.(type) {
	case map[string]any:
		if before, was := before.(map[string]any); was {
			for key := range changed {
				changed[key] = restoreEmpty(changed[key], before[key])
			}
		}
	case []any:
		switch before := before.(type) {
		case map[string]any:
			if len(changed) == 0 {
				return before
			}
		case []any:
			for i := range min(len(changed), len(before)) {
				changed[i] = restoreEmpty(changed[i], before[i])
			}
		}
	}
	return changed
}
