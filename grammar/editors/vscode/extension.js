// Starts `strata lsp` and connects the editor with it; everything else is the server's.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = function () {
  const command = workspace.getConfiguration("strata").get("command");
  client = new LanguageClient(
    "strata",
    "Strata",
    { command, args: ["lsp"] },
    {
      documentSelector: [{ scheme: "file", language: "strata" }],
      synchronize: { fileEvents: workspace.createFileSystemWatcher("**/*.{model,csv,json,npy,txt,tsv}") },
    },
  );
  return client.start();
};

exports.deactivate = function () {
  return client && client.stop();
};
