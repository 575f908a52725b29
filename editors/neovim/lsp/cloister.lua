-- Not tried with 0.12; on 0.11.4 only with the plugin.
-- Neovim 0.11 or newer, without the plugin of editors/vim: put this file into ~/.config/nvim/lsp/ and add to init.lua:
--
--   vim.lsp.enable('cloister')
--   vim.lsp.inline_completion.enable()                                    -- 0.12 or newer: ghost text
--   vim.keymap.set('i', '<Tab>', function()
--     return vim.lsp.inline_completion.get() and '' or '<Tab>'
--   end, { expr = true })
--
-- 0.11 has no ghost text of its own: there it is ordinary completion (<C-X><C-O>, or vim.lsp.completion.enable), or the plugin.
return {
  cmd = { 'cloister', 'lsp' },
  filetypes = {
    'ada', 'vhdl', 'verilog', 'systemverilog', 'c', 'cpp', 'rust', 'python', 'fortran', 'asm', 'cobol', 'pascal',
  },
  root_markers = { '.git', 'alire.toml' },
  init_options = {
    completion = { automatic = true, debounce_ms_max = 400, max_tokens = 64 },
    -- server = 'unix:/run/cloister/cloister.sock',
  },
}
