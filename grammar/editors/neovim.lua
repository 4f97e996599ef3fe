-- Neovim: put this into ~/.config/nvim/init.lua, or `dofile` this file from there.
vim.api.nvim_create_autocmd({ "BufRead", "BufNewFile" }, {
  pattern = "*.model",
  callback = function(args)
    vim.bo[args.buf].commentstring = "// %s"
    vim.bo[args.buf].filetype = "strata"
  end,
})

vim.api.nvim_create_autocmd("FileType", {
  pattern = "strata",
  callback = function(args)
    local settings = { name = "strata", cmd = { "strata", "lsp" }, root_dir = vim.fn.expand("%:p:h") }
    if vim.lsp.start then
      vim.lsp.start(settings)
    else -- 0.7: one server for each file
      vim.lsp.buf_attach_client(args.buf, vim.lsp.start_client(settings))
    end
    local function map(keys, act) vim.keymap.set("n", keys, act, { buffer = args.buf }) end
    map("K", vim.lsp.buf.hover)
    map("gd", vim.lsp.buf.definition)
    map("gr", vim.lsp.buf.references)
    map("gO", vim.lsp.buf.document_symbol)
    map("<leader>r", vim.lsp.buf.rename)
    map("<leader>a", vim.lsp.buf.code_action)
    map("<leader>f", vim.lsp.buf.format or vim.lsp.buf.formatting)
    vim.bo[args.buf].omnifunc = "v:lua.vim.lsp.omnifunc" -- CTRL-X CTRL-O completes
    if vim.lsp.inlay_hint then vim.lsp.inlay_hint.enable(true, { bufnr = args.buf }) end -- 0.10 and later
  end,
})
