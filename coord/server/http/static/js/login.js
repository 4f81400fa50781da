// Signing in and out.

import { ask } from "/page/js/api.js";
import { app, toast } from "/page/js/app.js";
import { field, openDialog } from "/page/js/dialogs.js";
import { h } from "/page/js/dom.js";

export function signIn() {
  if (!app.login.possible) {
    openDialog({
      title: "Sign in",
      body: h(
        "p",
        {},
        "A password would travel in the clear over this connection. Open the page over TLS, through a tunnel to the node, or from a network that node.http_trusted names.",
      ),
      action: "Understood",
      submit: async () => {},
    });
    return;
  }
  const user = h("input", { name: "username", autocomplete: "username", required: true, autofocus: true });
  const password = h("input", {
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  openDialog({
    title: "Sign in",
    body: [
      h(
        "p.muted",
        {},
        "A user is a name and a password that access lists name, as digest:name. There are no accounts: a wrong password is simply somebody else.",
      ),
      field("User", user),
      field("Password", password),
    ],
    action: "Sign in",
    submit: async () => {
      app.setLogin(await ask("POST", "/v1/login", { body: { user: user.value, password: password.value } }));
      toast(`Signed in as ${app.login.user}.`);
    },
  });
}

export async function signOut() {
  try {
    app.setLogin(await app.write("DELETE", "/v1/login"));
    await app.refreshLogin();
  } catch (problem) {
    toast(problem.message);
  }
}
