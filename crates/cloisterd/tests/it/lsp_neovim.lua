-- Drives `cloister lsp` with Neovim's own client, of a version that has ordinary completion only. The environment has
-- the program, the server's address, the file that is edited and the file for what was seen.
local environment = vim.env
local seen = {}
vim.cmd('edit ' .. environment.LSP_TEST_FILE)
vim.bo.fileformat = 'unix'
local id = vim.lsp.start_client({
  name = 'cloister',
  cmd = { environment.LSP_TEST_PROGRAM, '--server', environment.LSP_TEST_SERVER, 'lsp' },
  root_dir = vim.fn.getcwd(),
})
vim.lsp.buf_attach_client(0, id)
local ready = vim.wait(20000, function()
  local client = vim.lsp.get_client_by_id(id)
  return client ~= nil and client.initialized
end, 20)
seen.ready = ready
local function complete()
  local params = vim.lsp.util.make_position_params(0, 'utf-16')
  local answers = vim.lsp.buf_request_sync(0, 'textDocument/completion', params, 120000)
  local list = answers and answers[id] and answers[id].result
  return list and list.items and list.items[1]
end
-- Behind the end of the line, as in insert mode.
local row = tonumber(environment.LSP_TEST_LINE)
local line = vim.api.nvim_buf_get_lines(0, row - 1, row, true)[1]
vim.wo.virtualedit = 'all'
vim.api.nvim_win_set_cursor(0, { row, #line })
local item = complete()
if item then
  seen.label = item.label
  seen.text = item.textEdit.newText
  vim.lsp.util.apply_text_edits({ item.textEdit }, 0, 'utf-16')
  vim.lsp.buf_request_sync(0, 'workspace/executeCommand', {
    command = item.command.command,
    arguments = item.command.arguments,
  }, 20000)
  seen.suggestion = item.command.arguments[1].suggestion
end
seen.lines = vim.api.nvim_buf_get_lines(0, 0, -1, true)
local out = io.open(environment.LSP_TEST_SEEN, 'w')
out:write(vim.fn.json_encode(seen))
out:close()
vim.lsp.stop_client(id)
vim.wait(3000, function()
  return vim.lsp.get_client_by_id(id) == nil
end, 20)
vim.cmd('qa!')
